// sluice purge everything|files|tags|hosts|prefixes
#include <random>
#include <set>
#include <utility>

#include "base/size.h"
#include "base/utf8.h"
#include "bulk/job_log.h"
#include "cdn/purge.h"
#include "commands.h"
#include "consent.h"
#include "kv_store.h"
#include "progress_display.h"
#include "purge_items.h"
#include "purge_report.h"
#include "purge_zones.h"
#include "waiting.h"
#include "wire_text.h"

namespace sluice::cli {

namespace {

using cdn::PurgeKind;

// How many hosts without a zone are told.
constexpr std::size_t kMostTold = 5;

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
    co_return tell(std::move(*report));
  }

 private:
  io::Task<Result<cdn::PurgeReport>> work() {
    const std::vector<std::string> named = named_zones(context_, invocation_);
    if (auto checked = check(named); !checked) co_return std::unexpected(checked.error());
    // Everything is read and checked before anything is asked of the service: a list with a
    // mistake in it may be the wrong one.
    by_host_ = named.empty() && !invocation_.on("all-zones");
    if (kind_ != PurgeKind::everything) {
      auto read = co_await read_purge_items(context_, invocation_, kind_, by_host_);
      if (!read) co_return std::unexpected(read.error());
      items_ = std::move(*read);
    }
    auto connection = store::cloudflare::Connection::open(context_.store_environment());
    if (!connection) co_return std::unexpected(connection.error());
    api_.emplace(*connection, named_plan(invocation_));
    cdn::Zones directory = zones_of(invocation_, *connection, answer_cache(context_, invocation_));
    const auto wire = [this] { return api_->wire_stats(); };
    auto looking = find_zones(directory, named);
    const auto found = co_await telling_obstacles(context_, wire, std::move(looking));
    if (!found) {
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
      report = co_await cdn::purge(job, *api_, *items_.spool, std::move(plan));
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
    if (kind_ != PurgeKind::everything) return {};
    auto must = must_ask(context_, invocation_, "purge everything");
    if (!must) return std::unexpected(std::move(must.error()));
    must_ask_ = *must;
    return {};
  }

  io::Task<Result<>> find_zones(cdn::Zones& directory, const std::vector<std::string>& named) {
    if (kind_ != PurgeKind::everything && items_.distinct == 0) co_return Result<>();
    if (by_host_) co_return co_await find_zones_of_hosts(directory);
    auto zones =
        invocation_.on("all-zones") ? co_await directory.list() : co_await directory.resolve(named);
    if (!zones) co_return std::unexpected(zones.error());
    zones_ = std::move(*zones);
    if (zones_.empty()) co_return fail(ErrorCode::not_found, "these credentials see no zone");
    if (kind_ == PurgeKind::everything) co_return Result<>();
    for (std::size_t i = 1; i < zones_.size(); ++i) {
      if (auto copied = co_await items_.spool->copy("", zones_[i].id); !copied) co_return copied;
    }
    co_return co_await items_.spool->move("", zones_.front().id);
  }

  io::Task<Result<>> find_zones_of_hosts(cdn::Zones& directory) {
    auto found = co_await directory.of_hosts(items_.hosts);
    if (!found) co_return std::unexpected(found.error());
    std::string missing;
    std::size_t count = 0;
    for (const std::string& host : items_.hosts) {
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
      if (auto moved = co_await items_.spool->move(host, zone.id); !moved) co_return moved;
    }
    co_return Result<>();
  }

  io::Task<Result<>> ask(cdn::Zones& directory) {
    const std::vector<std::string> from = invocation_.values("from");
    const bool stdin_is_taken = std::ranges::find(from, "-") != from.end();
    if (!must_ask_) {
      co_return co_await confirm_if_interactive(
          context_, invocation_,
          fmt::format("Purge {} of {}?", purge_amount(kind_, items_.distinct), zone_names(zones_)),
          "purged", !stdin_is_taken);
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
                 bulk::JobFolder::kept_seconds);
    return folder.loose_failure_path();
  }

  ExitCode tell(cdn::PurgeReport report) {
    PurgeOutcome outcome{
        .kind = kind_,
        .dry_run = dry_run_,
        .given = items_.given,
        .distinct = items_.distinct,
        .zones = zones_,
        .report = std::move(report),
        .plans = {},
        .seconds = std::chrono::duration<double>(io::Clock::now() - begun_).count(),
        .wire = api_->wire_stats()};
    for (const cdn::ZoneResult& zone : outcome.report.zones) {
      outcome.plans.push_back(api_->plan_of(zone.zone));
    }
    tell_purge(context_, invocation_, outcome);
    return exit_code(outcome.report);
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
  PurgeItems items_;
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
