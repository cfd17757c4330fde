// sluice kv sync
#include <boost/json.hpp>
#include <utility>

#include "base/size.h"
#include "bulk/sync.h"
#include "commands.h"
#include "consent.h"
#include "kv_job.h"
#include "store_pair.h"

namespace sluice::cli {

namespace {

// What the merge has found, and what became of it.
void tell(Console& console, const bulk::SyncReport& sync, bool deletes, bool dry_run) {
  const bulk::MergeFindings& found = sync.found;
  std::string line = fmt::format("{} missing, {} different, {} equal; only in the target: {}",
                                 format_count(found.missing), format_count(found.different),
                                 format_count(found.equal), format_count(found.extra));
  if (found.extra > 0 && !deletes) line += " (kept: --delete removes them)";
  if (sync.deleted.value_or(0) > 0) {
    line += fmt::format(", of which {} {}", format_count(*sync.deleted),
                        dry_run ? "would be deleted" : "were deleted");
  }
  if (found.expiring > 0) {
    line += fmt::format("; about to expire, passed over: {}", format_count(found.expiring));
  }
  console.say("{}", line);
  const bool held_back = deletes && !sync.deleted && found.extra > 0;
  if (held_back && !sync.report.ended_early) {
    console.warn("nothing was deleted, because some entries could not be written");
  }
}

io::Task<ExitCode> run_sync(Context& context, const Invocation& invocation) {
  const bool deletes = invocation.on("delete");
  bool ask = false;
  if (deletes) {
    auto asks = must_ask(context, invocation, "kv sync --delete");
    if (!asks) co_return report_error(context, asks.error());
    ask = *asks;
  }
  bulk::Selection selection = selection_from(invocation);
  // A pattern that does not compile is told before anything is asked of the stores.
  if (auto filter = bulk::Filter::compile(selection); !filter)
    co_return report_error(context, filter.error());
  auto pair = co_await open_pair(context, invocation);
  if (!pair) co_return report_error(context, pair.error());
  const KvStore& from = pair->from;
  const KvStore& to = pair->to;
  bulk::SyncOptions options{.selection = std::move(selection),
                            .erase = deletes,
                            .checksum = invocation.on("checksum"),
                            .exact = invocation.on("exact"),
                            .guard = {}};
  const auto partitions =
      bulk::parse_partitions(invocation.value("list-partitions").value_or("auto"));
  if (auto checked = bulk::check_sync(options, partitions.value_or(bulk::Partitions()),
                                      from.store->capabilities(), to.store->capabilities());
      !checked) {
    co_return report_error(context, checked.error());
  }
  auto job = KvJob::begin(context, invocation,
                          {.verb = "changed",
                           .identity = pair->identity(),
                           .store = from.url,
                           .matched = "that differ"});
  if (!job) co_return report_error(context, job.error());
  auto sure = co_await confirm_if_interactive(
      context, invocation,
      fmt::format("Make {} equal to {}?", to.description(), from.description()), "changed");
  if (!sure) co_return report_error(context, sure.error());
  if (deletes && (*job)->resumed_from() != nullptr) {
    context.console.say("both stores are compared anew, since what is deleted must be true now");
  }
  (*job)->note_batch_size(to.store->capabilities().put_entries);
  (*job)->show_progress({&from, &to});
  options.guard = erase_guard(context, invocation, **job, ask, to);
  const bulk::SyncReport sync =
      co_await bulk::sync((*job)->job(), *from.store, *to.store, std::move(options));
  co_await (*job)->hide_progress();
  const bulk::Report& report = sync.report;
  const bulk::MergeFindings& found = sync.found;
  if (!report.ended_early || report.counts.listed > 0) {
    tell(context.console, sync, deletes, invocation.on("dry-run"));
  }
  co_return (*job)->finish(report, {&from, &to},
                           {{"namespace", from.in.title},
                            {"to_namespace", to.in.title},
                            {"missing", found.missing},
                            {"different", found.different},
                            {"equal", found.equal},
                            {"extra", found.extra},
                            {"expiring", found.expiring},
                            {"deleted", sync.deleted.value_or(0)}});
}

}  // namespace

ExitCode run_kv_sync(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(run_sync(context, invocation));
}

}  // namespace sluice::cli
