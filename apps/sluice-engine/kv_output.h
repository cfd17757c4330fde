// Where the entries that a kv command writes go, and in which form.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "bulk/entry_writer.h"
#include "bulk/job.h"
#include "bulk/output.h"
#include "context.h"

namespace sluice::cli {

struct EntryOutput {
  bulk::Format format = bulk::Format::ndjson;
  bool table = false;  // for people, instead of `format`
  bool metadata = false;
  bool nul = false;
  bool to_terminal = false;  // no -o, and stdout is a terminal
};

// What --json is about.
enum class Json : std::uint8_t { entries, report };

// What --format, --json, --metadata and -0 ask for. Without --format (and without --json, if it is
// about the entries): what the ending of -o's name says, `on_terminal` on a terminal, else ndjson.
[[nodiscard]] EntryOutput entry_output(const Context& context, const Invocation& invocation,
                                       std::string_view on_terminal, Json json = Json::entries);

// Whether --format was given, by whatever means.
[[nodiscard]] bool asks_for_format(const Invocation& invocation);

// Refuses a name for -o that promises compressed entries: nothing here compresses, since a resumed
// job cuts its file at a byte and goes on there.
Result<> check_output_name(const Invocation& invocation);

// The file of -o, else stdout. A job that can be resumed names its temporary file by its id, and
// keeps `keep` bytes of it.
Result<std::unique_ptr<bulk::Output>> open_output(Context& context, const Invocation& invocation,
                                                  std::string_view job_id = {},
                                                  std::uint64_t keep = 0);

// Writes the rest and, if the run is complete, gives the file its name; else the file goes away,
// unless the job can be resumed. What goes wrong ends up in the report. Does not return when the
// reader of stdout has gone away.
io::Task<> close_output(bulk::Output& output, std::string rest, bulk::Report& report,
                        bool resumable = false);

}  // namespace sluice::cli
