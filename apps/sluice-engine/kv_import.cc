// sluice kv import
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <utility>

#include "base/utf8.h"
#include "bulk/import.h"
#include "commands.h"
#include "consent.h"
#include "kv_job.h"
#include "kv_store.h"
#include "store/limits.h"

namespace sluice::cli {

namespace {

Error usage(std::string message) {
  return {ErrorCode::invalid_argument, Retry::never, std::nullopt, std::move(message)};
}

io::Task<ExitCode> run_import(Context& context, const Invocation& invocation) {
  const auto arguments = invocation.arguments();
  const std::string path = arguments.empty() ? std::string("-") : arguments.front();
  const bool from_stdin = path == "-";
  if (from_stdin && context.console.interactive() && arguments.empty()) {
    co_return report_error(context, usage("name the file to import, or \"-\" to type entries"));
  }
  if (from_stdin && invocation.on("resume")) {
    co_return report_error(context,
                           usage("--resume needs a file: what came through a pipe is gone"));
  }
  // Before a namespace is made for it.
  struct stat status{};
  if (!from_stdin && (::stat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode) ||
                      ::access(path.c_str(), R_OK) != 0)) {
    const int reason = S_ISDIR(status.st_mode) ? EISDIR : errno;
    co_return report_error(context, system_error(reason, fmt::format("read {}", printable(path))));
  }
  StorePlace place = source_place(context, invocation);
  place.create_file = true;
  place.create = invocation.on("create-namespace");
  auto kv = co_await open_store(context, place, invocation.on("dry-run"));
  if (!kv) co_return report_error(context, kv.error());
  auto job =
      KvJob::begin(context, invocation,
                   {.verb = "imported",
                    .identity = fmt::format("{}\n{}\n{}", kv->url, kv->in.id, file_identity(path)),
                    .store = kv->url,
                    .skipped = "bad records",
                    .resumable = !from_stdin});
  if (!job) co_return report_error(context, job.error());
  auto sure = co_await confirm_if_interactive(
      context, invocation, fmt::format("Import {} into {}?", printable(path), kv->description()),
      "imported", !from_stdin);
  if (!sure) co_return report_error(context, sure.error());
  bulk::ImportOptions options{
      .path = path,
      .format = bulk::parse_format(invocation.value("format").value_or("auto")),
      .skip_bad = invocation.count("skip-bad").value_or(0),
      .now = store::unix_now()};
  (*job)->note_batch_size(kv->store->capabilities().put_entries);
  (*job)->show_progress({&*kv});
  const bulk::Report report = co_await bulk::import_entries((*job)->job(), *kv->store, options);
  co_await (*job)->hide_progress();
  co_return (*job)->finish(report, {&*kv}, {{"namespace", kv->in.title}, {"input", path}});
}

}  // namespace

ExitCode run_kv_import(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(run_import(context, invocation));
}

}  // namespace sluice::cli
