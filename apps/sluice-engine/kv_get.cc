// sluice kv get
#include <boost/json.hpp>
#include <utility>

#include "base/utf8.h"
#include "bulk/export.h"
#include "commands.h"
#include "keys_argument.h"
#include "kv_job.h"
#include "kv_output.h"
#include "kv_store.h"
#include "waiting.h"

namespace sluice::cli {

namespace {

// One key: its bare value, byte for byte.
io::Task<ExitCode> get_one(Context& context, const Invocation& invocation) {
  auto kv = co_await open_store(context, reading_place(context, invocation));
  if (!kv) co_return report_error(context, kv.error());
  const std::string_view key = invocation.arguments().front();
  auto getting = kv->store->get_exact(std::span(&key, 1));
  auto answer = co_await telling_obstacles(context, kv->opened.wire_stats, std::move(getting));
  if (!answer) co_return report_error(context, answer.error());
  if (!answer->failed.empty()) co_return report_error(context, answer->failed.front().error);
  if (answer->entries.size() != 1 || answer->entries[0].presence != store::Presence::present) {
    co_return report_error(
        context, {ErrorCode::not_found, Retry::never, std::nullopt,
                  fmt::format("{} has no key \"{}\"", kv->description(), printable(key))});
  }
  auto output = open_output(context, invocation);
  if (!output) co_return report_error(context, output.error());
  bulk::Report report;
  co_await close_output(**output, std::string(answer->entries[0].value), report);
  if (report.ended_early) co_return report_error(context, *report.ended_early);
  co_return ExitCode::done;
}

// Several keys, or a selection, as entries.
io::Task<ExitCode> get_some(Context& context, const Invocation& invocation) {
  if (auto named = check_output_name(invocation); !named)
    co_return report_error(context, named.error());
  bulk::Selection selection = selection_from(invocation);
  std::optional<KeysArgument> keys;
  if (!invocation.arguments().empty()) {
    auto made = KeysArgument::make(invocation.arguments(), selection);
    if (!made) co_return report_error(context, made.error());
    keys.emplace(std::move(*made));
  } else if (!selection.selects_something() && !selection.all) {
    co_return report_error(context,
                           {ErrorCode::invalid_argument, Retry::never, std::nullopt,
                            "name the keys to get, or a selection (--prefix, --keys-file …; --all "
                            "for every entry)"});
  }
  auto kv = co_await open_store(context, reading_place(context, invocation));
  if (!kv) co_return report_error(context, kv.error());
  auto job = KvJob::begin(context, invocation,
                          {.verb = "written",
                           .identity = {},
                           .store = kv->url,
                           .resumable = false,
                           .json_to_stdout = false});
  if (!job) co_return report_error(context, job.error());
  const EntryOutput how = entry_output(context, invocation, "ndjson");
  auto output = open_output(context, invocation);
  if (!output) co_return report_error(context, output.error());
  bulk::ExportOptions options{
      .selection = std::move(selection),
      .format = {.format = how.format, .values = true, .metadata = how.metadata, .nul = how.nul},
      .exact = invocation.on("exact")};
  (*job)->show_progress({&*kv}, how.to_terminal);
  bulk::Report report =
      co_await bulk::export_entries((*job)->job(), *kv->store, **output, std::move(options));
  co_await (*job)->hide_progress();
  co_await close_output(**output, {}, report);
  if (report.ended_early) co_return report_error(context, *report.ended_early);
  if (context.console.verbose() || report.counts.failed > 0) {
    const ExitCode code = (*job)->finish(report, {&*kv}, {});
    if (code != ExitCode::done) co_return code;
  }
  if (report.counts.skipped > 0) {
    std::string missing;
    for (const std::string& key : report.skipped_keys) {
      missing += fmt::format("{}\"{}\"", missing.empty() ? "" : ", ", printable(key));
    }
    if (report.counts.skipped > report.skipped_keys.size()) missing += ", …";
    co_return report_error(
        context, {ErrorCode::not_found, Retry::never, std::nullopt,
                  fmt::format("{} of {} keys do not exist in {}: {}", report.counts.skipped,
                              report.counts.selected, kv->description(), missing)});
  }
  co_return ExitCode::done;
}

}  // namespace

ExitCode run_kv_get(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  const bool bare = invocation.arguments().size() == 1 && !invocation.on("json") &&
                    !invocation.on("metadata") && !invocation.value("format") &&
                    !selection_from(invocation).selects_something();
  return context.loop.run(bare ? get_one(context, invocation) : get_some(context, invocation));
}

}  // namespace sluice::cli
