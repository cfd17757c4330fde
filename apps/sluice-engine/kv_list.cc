// sluice kv list
#include <unistd.h>

#include <boost/json.hpp>
#include <utility>

#include "base/size.h"
#include "base/timestamp.h"
#include "base/utf8.h"
#include "bulk/entry_writer.h"
#include "bulk/list.h"
#include "bulk/output.h"
#include "commands.h"
#include "kv_job.h"
#include "kv_output.h"
#include "kv_store.h"
#include "table.h"

namespace sluice::cli {

namespace {

// Without a selection nobody wants a million lines on the terminal.
constexpr std::uint64_t kStandardLimit = 1000;
// A page that has to wait for a full buffer would not be seen while the next ones arrive.
constexpr std::size_t kPiece = std::size_t{64} << 10;

// A page as a table; columns are as wide as this page needs.
std::string page_table(const store::Block& page, bool metadata, bool first, std::size_t width) {
  std::vector<Table::Column> columns{{"KEY"}, {"EXPIRES"}};
  if (metadata) columns.push_back({"METADATA"});
  Table table(std::move(columns));
  for (const store::EntryView& entry : page) {
    std::vector<std::string> cells{
        std::string(entry.key),
        entry.expiration == 0 ? std::string("-") : format_timestamp(entry.expiration)};
    if (metadata) cells.emplace_back(entry.metadata);
    table.add(std::move(cells));
  }
  std::string text = table.text(width);
  if (!first) text.erase(0, text.find('\n') + 1);
  return text;
}

io::Task<ExitCode> list(Context& context, const Invocation& invocation) {
  const std::string format = invocation.value("format").value_or("");
  if (invocation.on("json") && (format == "table" || format == "csv" || format == "keys")) {
    co_return report_error(context,
                           {ErrorCode::invalid_argument, Retry::never, std::nullopt,
                            fmt::format("--json and --format {} ask for two different outputs: "
                                        "leave one out",
                                        format)});
  }
  if (auto named = check_output_name(invocation); !named)
    co_return report_error(context, named.error());
  auto kv = co_await open_store(context, reading_place(context, invocation));
  if (!kv) co_return report_error(context, kv.error());
  const EntryOutput how = entry_output(context, invocation, "table");
  auto output = open_output(context, invocation);
  if (!output) co_return report_error(context, output.error());
  auto job = KvJob::begin(context, invocation,
                          {.verb = "written",
                           .identity = {},
                           .store = kv->url,
                           .resumable = false,
                           .json_to_stdout = false});
  if (!job) co_return report_error(context, job.error());

  bulk::Selection selection = selection_from(invocation);
  // One more than is shown, to know whether there are more.
  const bool limited = !selection.selects_something() && !selection.all && !selection.limit;
  if (limited) selection.limit = kStandardLimit + 1;

  bulk::EntryWriter writer(
      {.format = how.format, .values = false, .metadata = how.metadata, .nul = how.nul});
  std::string buffer;
  if (!how.table) writer.begin(buffer);
  std::uint64_t shown = 0;
  bool more = false;
  bool first_page = true;
  const auto sink = [&](const store::Block& page) -> io::Task<Result<>> {
    if (how.table) {
      store::Block rows;
      for (const store::EntryView& entry : page) {
        if (limited && shown == kStandardLimit) {
          more = true;
          break;
        }
        ++shown;
        rows.append_in_place(entry);
      }
      if (!rows.empty()) {
        const std::size_t width =
            context.console.stdout_is_terminal() ? context.console.width() : std::size_t{0};
        buffer += page_table(rows, how.metadata, std::exchange(first_page, false), width);
      }
    } else {
      for (const store::EntryView& entry : page) {
        if (limited && shown == kStandardLimit) {
          more = true;
          break;
        }
        ++shown;
        writer.append(entry, buffer);
      }
    }
    if (buffer.size() >= kPiece || context.console.stdout_is_terminal()) {
      std::string piece = std::exchange(buffer, {});
      buffer.reserve(piece.size());
      co_return co_await (*output)->write(std::move(piece));
    }
    co_return Result<>();
  };
  // On a terminal the entries themselves show that it goes on.
  (*job)->show_progress({&*kv}, how.to_terminal);
  bulk::Report report = co_await bulk::list_entries((*job)->job(), *kv->store, {selection}, sink);
  if (!how.table && !report.ended_early) writer.end(buffer);
  co_await close_output(**output, std::move(buffer), report);
  co_await (*job)->hide_progress();
  if (more && !report.ended_early) {
    context.console.say(
        "stopped after {} entries: there are more (--all lists every entry, --limit N so many)",
        format_count(kStandardLimit));
  }
  if (report.ended_early) co_return report_error(context, *report.ended_early);
  if (context.console.verbose()) co_return (*job)->finish(report, {&*kv}, {});
  co_return exit_code(report);
}

}  // namespace

ExitCode run_kv_list(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(list(context, invocation));
}

}  // namespace sluice::cli
