// sluice kv stats
#include <boost/json.hpp>
#include <utility>

#include "base/size.h"
#include "bulk/stats.h"
#include "commands.h"
#include "kv_job.h"
#include "kv_store.h"
#include "table.h"

namespace sluice::cli {

namespace {

io::Task<ExitCode> run_stats(Context& context, const Invocation& invocation) {
  auto kv = co_await open_store(context, reading_place(context, invocation));
  if (!kv) co_return report_error(context, kv.error());
  auto job = KvJob::begin(context, invocation,
                          {.verb = "counted",
                           .identity = {},
                           .store = kv->url,
                           .resumable = false,
                           .json_to_stdout = false});
  if (!job) co_return report_error(context, job.error());
  bulk::Stats stats;
  (*job)->show_progress({&*kv});
  const bulk::Report report = co_await bulk::stats(
      (*job)->job(), *kv->store,
      {.selection = selection_from(invocation), .values = invocation.on("values")}, stats);
  co_await (*job)->hide_progress();
  // Half a count would be taken for a whole one.
  if (report.ended_early) co_return report_error(context, *report.ended_early);

  if (invocation.on("json")) {
    boost::json::object object{{"namespace", kv->in.title},
                               {"entries", stats.entries},
                               {"key_bytes", stats.key_bytes},
                               {"value_bytes", nullptr},
                               {"metadata_bytes", stats.metadata_bytes},
                               {"with_metadata", stats.with_metadata},
                               {"with_expiration", stats.with_expiration}};
    if (stats.value_bytes) object["value_bytes"] = *stats.value_bytes;
    print(boost::json::serialize(object) + "\n");
  } else {
    Table table({{""}, {"", Table::Align::right}});
    table.add({"namespace", kv->in.title});
    table.add({"entries", format_count(stats.entries)});
    table.add({"bytes of keys", format_count(stats.key_bytes)});
    table.add({"bytes of values", stats.value_bytes
                                      ? format_count(*stats.value_bytes)
                                      : std::string("not asked for (--values fetches them)")});
    table.add({"bytes of metadata", format_count(stats.metadata_bytes)});
    table.add({"with metadata", format_count(stats.with_metadata)});
    table.add({"with an expiry", format_count(stats.with_expiration)});
    const std::string text = table.text();
    print(text.substr(text.find('\n') + 1));
  }
  if (context.console.verbose()) co_return (*job)->finish(report, {&*kv}, {});
  co_return exit_code(report);
}

}  // namespace

ExitCode run_kv_stats(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(run_stats(context, invocation));
}

}  // namespace sluice::cli
