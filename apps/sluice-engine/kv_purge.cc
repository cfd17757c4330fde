// sluice kv purge
#include <boost/json.hpp>
#include <utility>

#include "base/shell.h"
#include "base/size.h"
#include "base/utf8.h"
#include "bulk/erase.h"
#include "cdn/tag_ledger.h"
#include "commands.h"
#include "consent.h"
#include "keys_argument.h"
#include "kv_job.h"
#include "kv_store.h"
#include "purge_zones.h"
#include "store/cloudflare/cloudflare.h"
#include "waiting.h"

namespace sluice::cli {

namespace {

Error usage(std::string message) {
  return {ErrorCode::invalid_argument, Retry::never, std::nullopt, std::move(message)};
}

// The zones, each by its id, so that a resumed job needs no look-up and means the same.
std::string ids_of(const std::vector<cdn::Zone>& zones) {
  std::string ids;
  for (const cdn::Zone& zone : zones) ids += fmt::format("{}{}", ids.empty() ? "" : ",", zone.id);
  return ids;
}

Result<std::vector<std::string>> fixed_tags(const Invocation& invocation) {
  std::vector<std::string> tags;
  for (const std::string& text : invocation.values("tag")) {
    for (const std::string_view part : cdn::split_list(text)) {
      auto tag = cdn::checked_item(cdn::PurgeKind::tags, part);
      if (!tag) return std::unexpected(std::move(tag.error()));
      tags.push_back(std::move(*tag));
    }
  }
  return tags;
}

// What was asked, and that it can be asked.
struct Asked {
  bulk::Selection selection;
  std::vector<std::string> zones;
  std::vector<std::string> tags;
  bool ask = false;
};

Result<Asked> read_command(Context& context, const Invocation& invocation) {
  Asked asked{.selection = selection_from(invocation),
              .zones = named_zones(context, invocation),
              .tags = {}};
  // Set for a listing and left in the environment, it would delete everything.
  if (invocation.origin("all") == Origin::environment) asked.selection.all = false;
  if (invocation.arguments().empty() && !asked.selection.selects_something() &&
      !asked.selection.all) {
    return std::unexpected(
        usage("nothing is selected: name keys or a selection (--prefix, --search, --keys-file …; "
              "--limit only narrows one down), or --all-keys to delete every entry"));
  }
  if (asked.zones.empty()) {
    return std::unexpected(
        usage("name the zone whose cache is purged with --zone (`sluice zones list` shows them)"));
  }
  if (asked.selection.keys_file == "-") {
    return std::unexpected(
        usage("kv purge needs the keys in a file: what came through a pipe is gone when a job has "
              "to be resumed, and with it the tags that are not purged yet"));
  }
  if (invocation.value("tags-from") && invocation.value("tags-from")->empty()) {
    return std::unexpected(usage("--tags-from is empty: give the name of a metadata field"));
  }
  auto tags = fixed_tags(invocation);
  if (!tags) return std::unexpected(std::move(tags.error()));
  asked.tags = std::move(*tags);
  auto ask = must_ask(context, invocation, "kv purge");
  if (!ask) return std::unexpected(std::move(ask.error()));
  asked.ask = *ask;
  // A pattern that does not compile is told before anything is asked of the store.
  if (auto filter = bulk::Filter::compile(asked.selection); !filter) {
    return std::unexpected(std::move(filter.error()));
  }
  return asked;
}

boost::json::object ledger_object(const cdn::TagLedger& ledger, const std::vector<cdn::Zone>& zones,
                                  bool dry_run) {
  std::uint64_t purged = 0;
  std::uint64_t named = 0;
  std::uint64_t requests = 0;
  if (const auto& report = ledger.report()) {
    named = report->items();
    purged = dry_run ? 0 : report->purged();
    for (const cdn::ZoneResult& zone : report->zones) requests += zone.requests;
  }
  boost::json::array list;
  for (const cdn::Zone& zone : zones) {
    list.push_back(boost::json::object{{"id", zone.id}, {"name", zone.name}});
  }
  boost::json::object tags{{"items", std::max(named, ledger.left() + purged)},
                           {"purged", purged},
                           {"left", ledger.left()},
                           {"unusable", ledger.unusable()},
                           {"requests", requests}};
  if (!ledger.left_file().empty()) tags["left_file"] = ledger.left_file();
  return {{"zones", std::move(list)}, {"tags", std::move(tags)}};
}

void tell(Context& context, const cdn::TagLedger& ledger, const std::vector<cdn::Zone>& zones,
          const std::optional<std::string>& field, bool dry_run, bool resumable) {
  Console& console = context.console;
  if (const auto& report = ledger.report()) {
    console.say("{} {} of {} of {}", dry_run ? "would have purged" : "purged",
                format_count(report->purged()), format_count(report->items(), "cache tag"),
                zone_names(zones));
  }
  if (ledger.untagged() > 0) {
    const std::string where =
        field ? fmt::format("has the field \"{}\" with a cache tag", printable(*field))
              : std::string("names a cache tag (--tags-from says in which field they are)");
    if (ledger.untagged() == ledger.entries()) {
      console.warn("the metadata of none of the {} selected entries {}",
                   format_count(ledger.entries()), where);
    } else {
      console.say("the metadata of {} of the {} selected entries {}",
                  format_count(ledger.entries() - ledger.untagged()),
                  format_count(ledger.entries()), where);
    }
  }
  if (ledger.unusable() > 0) {
    console.warn(
        "{} texts in the metadata are no cache tags (printable ASCII without spaces, at most 1,024 "
        "bytes) and were passed over",
        format_count(ledger.unusable()));
  }
  if (ledger.left() == 0) return;
  const std::string tags = format_count(ledger.left(), "cache tag");
  const std::string rest = fmt::format("sluice purge tags --zone {} --from {}", ids_of(zones),
                                       shell_quoted(ledger.left_file()));
  if (resumable) {
    console.warn(
        "Resuming the job purges {} of keys that are deleted, or may be, too. Only if you do not "
        "resume it: purge just them with: {}",
        tags, rest);
  } else {
    console.warn("not purged: {} of keys that are deleted, or may be. Purge just them with: {}",
                 tags, rest);
  }
}

io::Task<ExitCode> run_with(Context& context, const Invocation& invocation, Asked asked) {
  const bool dry_run = invocation.on("dry-run");
  std::optional<KeysArgument> keys;
  if (!invocation.arguments().empty()) {
    auto made = KeysArgument::make(invocation.arguments(), asked.selection);
    if (!made) co_return report_error(context, made.error());
    keys.emplace(std::move(*made));
  }
  const StorePlace place = source_place(context, invocation);
  auto opened = co_await open_store(context, place, dry_run);
  if (!opened) co_return report_error(context, opened.error());
  KvStore& kv = *opened;
  // One gate for both halves, when the store is Cloudflare's, too.
  auto connection = store::cloudflare_connection_of(*kv.opened.backend);
  const bool shared = connection != nullptr;
  if (!shared) {
    auto other = store::cloudflare::Connection::open(context.store_environment());
    if (!other) co_return report_error(context, other.error());
    connection = std::move(*other);
  }
  // Before any deletion: a zone that does not exist must not be found out afterwards.
  cdn::Zones directory(connection);
  const auto wire = [&connection] { return connection->wire_stats(); };
  auto looking = directory.resolve(asked.zones);
  const auto zones = co_await telling_obstacles(context, wire, std::move(looking));
  if (!zones) co_return report_error(context, zones.error());

  std::string identity = fmt::format("{}\n{}\nzones={}\ntags-from={}", kv.url, kv.in.id,
                                     ids_of(*zones), invocation.value("tags-from").value_or(""));
  for (const std::string& tag : asked.tags) identity += "\ntag=" + tag;
  auto begun = KvJob::begin(context, invocation,
                            {.verb = "deleted", .identity = std::move(identity), .store = kv.url});
  if (!begun) co_return report_error(context, begun.error());
  KvJob& job = **begun;
  bulk::JobLog* const journal = job.job().journal;
  auto spool = co_await cdn::ItemSpool::open(journal != nullptr ? journal->tags_path() : "");
  if (!spool) co_return report_error(context, spool.error());
  if (job.resumed()) {
    // What was under way when the job ended may be deleted.
    if (auto presumed = co_await (*spool)->presume(); !presumed) {
      co_return report_error(context, presumed.error());
    }
  }
  cdn::PurgeApi api(connection, named_plan(invocation));
  cdn::TagLedger ledger(job.job(), api, **spool,
                        {.zones = *zones,
                         .fixed = std::move(asked.tags),
                         .field = invocation.value("tags-from"),
                         .dry_run = dry_run,
                         .failure_path = journal != nullptr ? journal->unpurged_path() : ""});
  KvStore purges;
  purges.opened.wire_stats = [&] { return api.wire_stats(); };
  std::vector<const KvStore*> parts{&kv};
  if (!shared) parts.push_back(&purges);

  bulk::EraseOptions options{
      .selection = std::move(asked.selection),
      .guard = erase_guard(context, invocation, job, asked.ask, kv,
                           fmt::format(" and purge their cache tags of {}", zone_names(*zones))),
      .witness = &ledger};
  job.note_batch_size(kv.store->capabilities().erase_keys);
  job.show_progress(parts);
  const bulk::Report report = co_await bulk::erase(job.job(), *kv.store, std::move(options));
  co_await job.hide_progress();
  boost::json::object extra = ledger_object(ledger, *zones, dry_run);
  extra["namespace"] = kv.in.title;
  const ExitCode code = job.finish(report, parts, extra);
  tell(context, ledger, *zones, invocation.value("tags-from"), dry_run, report.resumable);
  co_return ledger.refused_some() ? ExitCode::some_failed : code;
}

io::Task<ExitCode> run_purge(Context& context, const Invocation& invocation) {
  auto asked = read_command(context, invocation);
  if (!asked) co_return report_error(context, asked.error());
  co_return co_await run_with(context, invocation, std::move(*asked));
}

}  // namespace

ExitCode run_kv_purge(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(run_purge(context, invocation));
}

}  // namespace sluice::cli
