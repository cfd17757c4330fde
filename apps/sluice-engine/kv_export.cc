// sluice kv export
#include <boost/json.hpp>
#include <filesystem>
#include <utility>

#include "base/utf8.h"
#include "bulk/export.h"
#include "commands.h"
#include "kv_job.h"
#include "kv_output.h"
#include "kv_store.h"

namespace sluice::cli {

namespace {

// Whether a job that was killed had given its file the name already, and only not written so.
bool already_complete(const KvJob& job, const std::string& file) {
  const bulk::Checkpoint* from = job.resumed_from();
  if (from == nullptr || !from->position.end) return false;
  std::error_code error;
  return !std::filesystem::exists(bulk::Output::temporary_name(file, job.id()), error) &&
         std::filesystem::file_size(file, error) >= from->output_bytes && !error;
}

// A resumed job goes on in the format that it has begun with, whatever its file's name says to this
// version. Refuses to change it.
Result<bulk::Format> format_to_go_on(const KvJob& job, const Invocation& invocation) {
  const std::string asked = invocation.value("format").value_or("ndjson");
  const std::string begun = job.format().empty() ? asked : job.format();
  if (asks_for_format(invocation) && asked != begun) {
    return fail(ErrorCode::conflict,
                "job {} has begun its file as {}: leave out --format {}, or give the job up with "
                "`sluice jobs remove {}`",
                job.id(), begun, asked, job.id());
  }
  return bulk::parse_format(begun).value_or(bulk::Format::ndjson);
}

io::Task<ExitCode> run_export(Context& context, const Invocation& invocation) {
  // What an older version has begun under such a name is still to be finished.
  if (auto named = check_output_name(invocation); !named && !context.resume_job) {
    co_return report_error(context, named.error());
  }
  auto kv = co_await open_store(context, source_place(context, invocation));
  if (!kv) co_return report_error(context, kv.error());
  const std::string file = invocation.value("output").value_or("");
  const bool to_stdout = file.empty() || file == "-";
  if (to_stdout && invocation.on("resume")) {
    co_return report_error(context,
                           {ErrorCode::invalid_argument, Retry::never, std::nullopt,
                            "--resume needs a file that can be continued: name it with -o"});
  }
  EntryOutput how = entry_output(context, invocation, "ndjson", Json::report);
  auto job = KvJob::begin(context, invocation,
                          {.verb = "exported",
                           .identity = fmt::format("{}\n{}", kv->url, kv->in.id),
                           .store = kv->url,
                           .output = to_stdout ? std::string() : file,
                           .format = std::string(name(how.format)),
                           .resumable = !to_stdout,
                           .json_to_stdout = !to_stdout});
  if (!job) co_return report_error(context, job.error());
  if ((*job)->resumed()) {
    auto format = format_to_go_on(**job, invocation);
    if (!format) co_return report_error(context, format.error());
    how.format = *format;
  }
  const bulk::Checkpoint* from = (*job)->resumed_from();
  if (already_complete(**job, file)) {
    bulk::Report report;
    report.counts = from->counts;
    if (auto closed = (*job)->job().journal->finish(bulk::JobState::finished, ""); !closed) {
      co_return report_error(context, closed.error());
    }
    co_return (*job)->finish(report, {&*kv}, {{"namespace", kv->in.title}, {"output", file}});
  }
  auto output =
      open_output(context, invocation, (*job)->id(), from != nullptr ? from->output_bytes : 0);
  if (!output) co_return report_error(context, output.error());

  bulk::ExportOptions options{
      .selection = selection_from(invocation),
      .format = {.format = how.format, .values = true, .metadata = true, .nul = how.nul},
      .exact = invocation.on("exact")};
  (*job)->note_batch_size(kv->store->capabilities().get_keys);
  (*job)->show_progress({&*kv}, to_stdout && context.console.stdout_is_terminal());
  bulk::Report report =
      co_await bulk::export_entries((*job)->job(), *kv->store, **output, std::move(options));
  co_await (*job)->hide_progress();
  co_await close_output(**output, {}, report, report.resumable);
  co_return (*job)->finish(report, {&*kv}, {{"namespace", kv->in.title}, {"output", file}});
}

}  // namespace

ExitCode run_kv_export(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(run_export(context, invocation));
}

}  // namespace sluice::cli
