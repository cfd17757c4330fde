#include "kv_output.h"

#include <unistd.h>

#include <utility>

#include "base/shell.h"
#include "base/utf8.h"

namespace sluice::cli {

bool asks_for_format(const Invocation& invocation) {
  const auto origin = invocation.origin("format");
  return origin && *origin != Origin::standard;
}

Result<> check_output_name(const Invocation& invocation) {
  const std::string file = invocation.value("output").value_or("");
  const std::string_view compressor = bulk::compressor_of_name(file);
  if (compressor.empty()) return {};
  return fail(
      ErrorCode::invalid_argument,
      "{}: by its name it would be compressed, but -o writes entries as they are. Compress "
      "on the way (`sluice {} … | {} > {}`), or give -o a name without {}, and compress the "
      "file afterwards",
      printable(file), invocation.path(), compressor, printable(shell_quoted(file)),
      printable(file.substr(file.rfind('.'))));
}

EntryOutput entry_output(const Context& context, const Invocation& invocation,
                         std::string_view on_terminal, Json json) {
  EntryOutput how;
  const std::string file = invocation.value("output").value_or("");
  how.to_terminal = (file.empty() || file == "-") && context.console.stdout_is_terminal();
  how.metadata = invocation.on("metadata");
  how.nul = invocation.on("null");
  std::string format;
  if (asks_for_format(invocation)) {
    format = invocation.value("format").value_or("");
  } else if (json == Json::report || !invocation.on("json")) {
    if (const auto named = bulk::format_of_name(file)) {
      format = name(*named);
    } else if (how.to_terminal) {
      format = on_terminal;
    }
  }
  how.table = format == "table";
  how.format = bulk::parse_format(format).value_or(bulk::Format::ndjson);
  return how;
}

Result<std::unique_ptr<bulk::Output>> open_output(Context& context, const Invocation& invocation,
                                                  std::string_view job_id, std::uint64_t keep) {
  const std::string file = invocation.value("output").value_or("");
  if (file.empty() || file == "-") return bulk::Output::to_descriptor(STDOUT_FILENO, &context.stop);
  const std::string mark = job_id.empty() ? fmt::format("{}", ::getpid()) : std::string(job_id);
  return bulk::Output::to_file(file, mark, keep, &context.stop);
}

io::Task<> close_output(bulk::Output& output, std::string rest, bulk::Report& report,
                        bool resumable) {
  Result<> closed;
  // What has been received is written also when the run has ended early: on stdout it is all there
  // is.
  if (!rest.empty()) closed = co_await output.write(std::move(rest));
  if (closed && !report.ended_early) {
    closed = co_await output.complete();
  } else if (closed) {
    closed = co_await output.flush();
    if (!resumable) output.discard();
  }
  if (!closed && !report.ended_early) report.ended_early = closed.error();
  if (report.ended_early && report.ended_early->message == bulk::kReaderLeft) die_of_broken_pipe();
}

}  // namespace sluice::cli
