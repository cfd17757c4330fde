// sluice purge everything|files|tags|hosts|prefixes
#include <boost/json.hpp>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "base/size.h"
#include "base/utf8.h"
#include "bulk/job_log.h"
#include "bulk/keys_file.h"
#include "cdn/item_list.h"
#include "cdn/purge.h"
#include "commands.h"
#include "consent.h"
#include "kv_store.h"
#include "progress_display.h"
#include "purge_zones.h"
#include "wire_text.h"

namespace sluice::cli {

namespace {

using cdn::PurgeKind;

// Items that go to the spool in one transaction.
constexpr std::size_t kPiece = 2000;
// How many reasons, or hosts without a zone, are told.
constexpr std::size_t kMostTold = 5;
// How long the files of what could not be purged are kept.
constexpr std::int64_t kKeepSeconds = 7 * 24 * 3600;

Error usage(std::string message) {
  return {ErrorCode::invalid_argument, Retry::never, std::nullopt, std::move(message)};
}

bool finds_zones(PurgeKind kind) {
  return kind == PurgeKind::files || kind == PurgeKind::hosts || kind == PurgeKind::prefixes;
}

// One run of the command.
class Purge {
 public:
  Purge(Context& context, const Invocation& invocation, PurgeKind kind)
      : context_(context),
        invocation_(invocation),
        kind_(kind),
        dry_run_(invocation.on("dry-run")),
        retrier_(context.stop, {}, std::random_device{}()),
        display_(context.loop.executor(), context.progress, context.console,
                 progress_style(invocation.value("progress").value_or("auto"),
                                invocation.on("json"), context.console)),
        begun_(io::Clock::now()) {}

  io::Task<ExitCode> run() {
    auto report = co_await work();
    if (!report) co_return report_error(context_, report.error());
    co_return tell(*report);
  }

 private:
  io::Task<Result<cdn::PurgeReport>> work() {
    const std::vector<std::string> named = named_zones(context_, invocation_);
    if (auto checked = check(named); !checked) co_return std::unexpected(checked.error());
    // Everything is read and checked before anything is asked of the service: a list with a
    // mistake in it may be the wrong one.
    by_host_ = named.empty() && !invocation_.on("all-zones");
    if (kind_ != PurgeKind::everything) {
      if (auto read = co_await read_items(); !read) co_return std::unexpected(read.error());
    }
    auto connection = store::cloudflare::Connection::open(context_.store_environment());
    if (!connection) co_return std::unexpected(connection.error());
    api_.emplace(*connection, named_plan(invocation_));
    cdn::Zones directory = zones_of(invocation_, *connection, answer_cache(context_, invocation_));
    if (auto found = co_await find_zones(directory, named); !found) {
      co_return std::unexpected(found.error());
    }
    if (auto agreed = co_await ask(directory); !agreed) co_return std::unexpected(agreed.error());

    bulk::Job job{.executor = context_.loop.executor(),
                  .stop = context_.stop,
                  .log = context_.log,
                  .progress = context_.progress,
                  .retrier = retrier_,
                  .settings = {},
                  .journal = nullptr,
                  .failure_path = {}};
    job.settings.concurrency =
        std::max<std::uint64_t>(1, invocation_.count("concurrency").value_or(10));
    if (!dry_run_ && kind_ != PurgeKind::everything) {
      auto path = failure_path();
      if (!path) co_return std::unexpected(path.error());
      job.failure_path = std::move(*path);
    }
    for (const cdn::Zone& zone : zones_) note_batch_size(zone);
    display_.start([this] { return traffic_of(api_->wire_stats()); });
    cdn::PurgeReport report;
    if (kind_ == PurgeKind::everything) {
      report = co_await cdn::purge_everything(job, *api_, zones_, dry_run_);
    } else {
      cdn::PurgePlan plan{.kind = kind_,
                          .zones = zones_,
                          .batch_size = invocation_.count("batch-size"),
                          .dry_run = dry_run_};
      report = co_await cdn::purge(job, *api_, *spool_, std::move(plan));
    }
    co_await display_.stop();
    for (const cdn::ZoneResult& zone : report.zones) {
      // The next run looks it up: it may have been removed, and added anew under another id.
      if (zone.ended && zone.ended->code == ErrorCode::not_found) {
        co_await directory.forget(zone.zone);
      }
    }
    co_return report;
  }

  void note_batch_size(const cdn::Zone& zone) {
    const auto asked = invocation_.count("batch-size");
    const std::size_t most = api_->most_items(zone, kind_);
    if (!asked || *asked <= most) return;
    context_.console.detail("--batch-size {}: a purge of zone {} carries {} items at most",
                            format_count(*asked), printable(zone.label()), most);
  }

  Result<> check(const std::vector<std::string>& named) {
    if (invocation_.on("all-zones") &&
        invocation_.origin("zone").value_or(Origin::standard) <= Origin::environment) {
      return std::unexpected(usage("give --zone or --all-zones, not both"));
    }
    if (named.empty() && !invocation_.on("all-zones") && !finds_zones(kind_)) {
      return std::unexpected(
          usage("name the zone with --zone (`sluice zones list` shows them), or --all-zones"));
    }
    if (kind_ != PurgeKind::everything && invocation_.arguments().empty() &&
        invocation_.values("from").empty()) {
      return std::unexpected(
          usage(fmt::format("name the {} to purge, or a file of them with --from", name(kind_))));
    }
    for (const std::string& text : invocation_.values("header")) {
      auto header = cdn::parse_file_header(text);
      if (!header) return std::unexpected(std::move(header.error()));
      headers_.push_back(std::move(*header));
    }
    if (kind_ != PurgeKind::everything) return {};
    auto must = must_ask(context_, invocation_, "purge everything");
    if (!must) return std::unexpected(std::move(must.error()));
    must_ask_ = *must;
    return {};
  }

  // Fills the spool. Items whose zones are to be found wait there under their hosts.
  io::Task<Result<>> read_items() {
    auto spool = co_await cdn::ItemSpool::open("");
    if (!spool) co_return std::unexpected(spool.error());
    spool_ = std::move(*spool);
    for (const std::string& argument : invocation_.arguments()) {
      // A comma may be a part of a URL.
      std::vector<std::string_view> items{argument};
      if (kind_ != PurgeKind::files) items = cdn::split_list(argument);
      for (const std::string_view item : items) {
        if (auto added = add(item); !added) co_return added;
      }
      if (auto kept = co_await keep(kPiece); !kept) co_return kept;
    }
    for (const std::string& path : invocation_.values("from")) {
      if (auto read = co_await read_file(path); !read) co_return read;
    }
    co_return co_await keep(1);
  }

  io::Task<Result<>> read_file(const std::string& path) {
    const cdn::ListFormat format{.name = invocation_.value("format").value_or(""),
                                 .column = invocation_.value("column").value_or(""),
                                 .field = invocation_.value("field").value_or(""),
                                 .nul = invocation_.on("null")};
    auto feed = cdn::open_item_list(context_.loop.executor(), context_.stop, path, kind_, format);
    if (!feed) co_return std::unexpected(feed.error());
    const Result<> read = co_await read_feed(**feed, path);
    co_await (*feed)->close();
    co_return read;
  }

  io::Task<Result<>> read_feed(bulk::RecordFeed& feed, const std::string& path) {
    for (bool end = false; !end;) {
      auto piece = co_await feed.next();
      if (!piece) co_return std::unexpected(piece.error());
      if (!piece->records.bad.empty()) {
        co_return bulk::bad_key(path, piece->records.bad.front());
      }
      for (const store::EntryView& entry : piece->records.entries) {
        // A comma cannot be a part of a tag or a host.
        const bool list = kind_ == PurgeKind::tags || kind_ == PurgeKind::hosts;
        std::vector<std::string_view> items{entry.key};
        if (list) items = cdn::split_list(entry.key);
        for (const std::string_view item : items) {
          if (auto added = add(item); !added) {
            co_return fail(added.error().code, "{}: {}", path, added.error().message);
          }
        }
      }
      if (auto kept = co_await keep(kPiece); !kept) co_return kept;
      end = piece->end;
    }
    co_return Result<>();
  }

  Result<> add(std::string_view text) {
    auto item = cdn::checked_item(kind_, text, headers_);
    if (!item) return std::unexpected(std::move(item.error()));
    std::string host = by_host_ ? cdn::host_of(kind_, *item) : std::string();
    if (by_host_) hosts_.insert(host);
    ++given_;
    waiting_.push_back({.zone = std::move(host), .item = std::move(*item)});
    return {};
  }

  // Writes what waits to the spool when it is at least so much.
  io::Task<Result<>> keep(std::size_t least) {
    if (waiting_.size() < least) co_return Result<>();
    auto added = co_await spool_->add(waiting_);
    if (!added) co_return std::unexpected(added.error());
    distinct_ += *added;
    waiting_.clear();
    co_return Result<>();
  }

  io::Task<Result<>> find_zones(cdn::Zones& directory, const std::vector<std::string>& named) {
    if (kind_ != PurgeKind::everything && distinct_ == 0) co_return Result<>();
    if (by_host_) co_return co_await find_zones_of_hosts(directory);
    auto zones =
        invocation_.on("all-zones") ? co_await directory.list() : co_await directory.resolve(named);
    if (!zones) co_return std::unexpected(zones.error());
    zones_ = std::move(*zones);
    if (zones_.empty()) co_return fail(ErrorCode::not_found, "these credentials see no zone");
    if (kind_ == PurgeKind::everything) co_return Result<>();
    for (std::size_t i = 1; i < zones_.size(); ++i) {
      if (auto copied = co_await spool_->copy("", zones_[i].id); !copied) co_return copied;
    }
    co_return co_await spool_->move("", zones_.front().id);
  }

  io::Task<Result<>> find_zones_of_hosts(cdn::Zones& directory) {
    auto found = co_await directory.of_hosts(hosts_);
    if (!found) co_return std::unexpected(found.error());
    std::string missing;
    std::size_t count = 0;
    for (const std::string& host : hosts_) {
      if (found->contains(host)) continue;
      if (++count <= kMostTold) missing += fmt::format("{}{}", count > 1 ? ", " : "", host);
    }
    if (count > 0) {
      co_return fail(
          ErrorCode::not_found,
          "these credentials see no zone of {}{}: nothing was purged. Name the zone with "
          "--zone (`sluice zones list` shows them).",
          printable(missing),
          count > kMostTold ? " and " + format_count(count - kMostTold, "more host")
                            : std::string());
    }
    std::set<std::string> seen;
    for (const auto& [host, zone] : *found) {
      if (seen.insert(zone.id).second) zones_.push_back(zone);
      if (auto moved = co_await spool_->move(host, zone.id); !moved) co_return moved;
    }
    co_return Result<>();
  }

  io::Task<Result<>> ask(cdn::Zones& directory) {
    const std::vector<std::string> from = invocation_.values("from");
    const bool stdin_is_taken = std::ranges::find(from, "-") != from.end();
    if (!must_ask_) {
      co_return co_await confirm_if_interactive(
          context_, invocation_,
          fmt::format("Purge {} of {}?", amount(distinct_), zone_names(zones_)), "purged",
          !stdin_is_taken);
    }
    // An id tells a person nothing.
    for (cdn::Zone& zone : zones_) {
      if (!zone.name.empty()) continue;
      if (auto named = co_await directory.get(zone.id)) zone = std::move(*named);
    }
    std::string question =
        fmt::format("Purge everything from the cache of {}?", zone_names(zones_));
    co_return co_await confirm(context_, std::move(question), "purged");
  }

  Result<std::string> failure_path() {
    const auto given = invocation_.value("failures");
    const std::vector<std::string> from = invocation_.values("from");
    if (given && std::ranges::find(from, *given) != from.end()) {
      return fail(ErrorCode::invalid_argument,
                  "--from and --failures are the same file, which would be read and written at "
                  "once: name another one for the failures");
    }
    if (given && !given->empty()) return *given;
    const bulk::JobFolder folder(context_.folders.jobs());
    folder.prune(std::chrono::duration_cast<std::chrono::seconds>(
                     std::chrono::system_clock::now().time_since_epoch())
                     .count(),
                 kKeepSeconds);
    return folder.loose_failure_path();
  }

  // The command that purges what this one left.
  [[nodiscard]] std::string rest_command(const cdn::PurgeReport& report) const {
    std::string line = fmt::format("sluice purge {}", name(kind_));
    std::string zones;
    for (const cdn::ZoneResult& zone : report.zones) {
      if (zone.items == zone.purged) continue;
      zones += fmt::format("{}{}", zones.empty() ? "" : ",", zone.zone.label());
    }
    return line + fmt::format(" --zone {} --from {}", shell_quoted(zones),
                              shell_quoted(report.failure_file));
  }

  ExitCode tell(const cdn::PurgeReport& report) {
    Console& console = context_.console;
    const double seconds = std::chrono::duration<double>(io::Clock::now() - begun_).count();
    const store::WireStats wire = api_->wire_stats();
    const ExitCode code = exit_code(report);
    if (dry_run_) {
      for (const cdn::ZoneResult& zone : report.zones) {
        console.say("would purge {} of zone {} in {}", amount(zone.items),
                    printable(zone.zone.label()), format_count(zone.requests, "call"));
      }
    } else if (report.items() > 0) {
      std::string line = fmt::format("purged {} of {} of {}", format_count(report.purged()),
                                     amount(report.items()), zone_names(zones_));
      if (kind_ == PurgeKind::everything) {
        line = fmt::format("purged everything of {} of {}", format_count(report.purged()),
                           format_count(report.items(), "zone"));
      }
      if (report.left() > 0) line += fmt::format(", {} not", format_count(report.left()));
      if (given_ > distinct_) {
        line += fmt::format(", {} named twice", format_count(given_ - distinct_));
      }
      console.say("{}, in {:.1f} s{}", line, seconds, wire_text(wire));
    }
    if (report.items() == 0) console.say("{}: there is nothing to purge", nothing_named());
    tell_failures(report);
    if (invocation_.on("json")) {
      print(boost::json::serialize(report_object(report, seconds, wire)) + "\n");
    }
    return code;
  }

  void tell_failures(const cdn::PurgeReport& report) {
    Console& console = context_.console;
    // Why each zone ended is told by the zone; the reasons have the items that were refused.
    std::set<std::string> told;
    for (const cdn::ZoneResult& zone : report.zones) {
      if (zone.ended && told.insert(zone.ended->message).second) console.error(*zone.ended);
    }
    std::size_t reasons = 0;
    for (const bulk::FailureReason& reason : report.reasons) {
      if (told.contains(reason.message) || ++reasons > kMostTold) continue;
      console.warn("  {} failed: {}", format_count(reason.keys), printable(reason.message));
    }
    if (reasons > kMostTold) console.warn("  and {} other reasons", reasons - kMostTold);
    if (!report.failure_file.empty()) {
      console.warn("What was not purged is in {}. Purge just that with: {}", report.failure_file,
                   rest_command(report));
    }
  }

  // An empty list may be the right one, of a run in which nothing has changed; it may also be the
  // wrong file.
  [[nodiscard]] std::string nothing_named() const {
    const std::vector<std::string> from = invocation_.values("from");
    std::string files;
    for (const std::string& path : from) {
      files += fmt::format("{}{}", files.empty() ? "" : ", ", path == "-" ? "stdin" : path);
    }
    if (files.empty()) return fmt::format("no {} are named", name(kind_));
    return fmt::format("{} {} no {}", printable(files), from.size() == 1 ? "holds" : "hold",
                       name(kind_));
  }

  [[nodiscard]] std::string amount(std::uint64_t items) const {
    if (kind_ == PurgeKind::everything) return "everything";
    return format_count(items, singular(kind_), name(kind_));
  }

  [[nodiscard]] boost::json::object report_object(const cdn::PurgeReport& report, double seconds,
                                                  const store::WireStats& wire) const {
    boost::json::object object{{"command", invocation_.path()},
                               {"complete", report.left() == 0},
                               {"dry_run", dry_run_},
                               {"items", report.items()},
                               {"duplicates", given_ - distinct_},
                               {"purged", dry_run_ ? 0 : report.purged()},
                               {"failed", dry_run_ ? 0 : report.left()},
                               {"milliseconds", static_cast<std::int64_t>(seconds * 1000)}};
    add_wire(object, wire);
    boost::json::array zones;
    for (const cdn::ZoneResult& zone : report.zones) {
      boost::json::object one{{"id", zone.zone.id},
                              {"name", zone.zone.name},
                              {"items", zone.items},
                              {"purged", dry_run_ ? 0 : zone.purged},
                              {"failed", dry_run_ ? 0 : zone.items - zone.purged},
                              {"requests", zone.requests}};
      if (const auto plan = api_->plan_of(zone.zone)) one["plan"] = cdn::name(*plan);
      if (zone.ended) {
        one["error"] =
            boost::json::object{{"code", name(zone.ended->code)}, {"message", zone.ended->message}};
      }
      zones.push_back(std::move(one));
    }
    object["zones"] = std::move(zones);
    boost::json::array reasons;
    for (const bulk::FailureReason& reason : report.reasons) {
      reasons.push_back(boost::json::object{{"error", reason.message}, {"items", reason.keys}});
    }
    if (!reasons.empty()) object["reasons"] = std::move(reasons);
    if (!report.failure_file.empty()) object["failed_items_file"] = report.failure_file;
    return object;
  }

  Context& context_;
  const Invocation& invocation_;
  PurgeKind kind_;
  bool dry_run_;
  bool must_ask_ = false;
  bool by_host_ = false;
  flow::Retrier retrier_;
  ProgressDisplay display_;
  flow::TimePoint begun_;
  std::vector<cdn::FileHeader> headers_;
  std::unique_ptr<cdn::ItemSpool> spool_;
  std::vector<cdn::ItemSpool::Placed> waiting_;  // for the spool
  std::set<std::string, std::less<>> hosts_;
  std::uint64_t given_ = 0;
  std::uint64_t distinct_ = 0;
  std::vector<cdn::Zone> zones_;
  std::optional<cdn::PurgeApi> api_;
};

ExitCode run_purge(Context& context, const Invocation& invocation, PurgeKind kind) {
  const RunGuard guard = context.guard();
  Purge purge(context, invocation, kind);
  return context.loop.run(purge.run());
}

}  // namespace

ExitCode run_purge_everything(Context& context, const Invocation& invocation) {
  return run_purge(context, invocation, PurgeKind::everything);
}
ExitCode run_purge_files(Context& context, const Invocation& invocation) {
  return run_purge(context, invocation, PurgeKind::files);
}
ExitCode run_purge_tags(Context& context, const Invocation& invocation) {
  return run_purge(context, invocation, PurgeKind::tags);
}
ExitCode run_purge_hosts(Context& context, const Invocation& invocation) {
  return run_purge(context, invocation, PurgeKind::hosts);
}
ExitCode run_purge_prefixes(Context& context, const Invocation& invocation) {
  return run_purge(context, invocation, PurgeKind::prefixes);
}

}  // namespace sluice::cli
