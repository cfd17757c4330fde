// sluice kv copy
#include <boost/json.hpp>
#include <utility>

#include "bulk/copy.h"
#include "commands.h"
#include "consent.h"
#include "kv_job.h"
#include "store_pair.h"

namespace sluice::cli {

namespace {

io::Task<ExitCode> run_copy(Context& context, const Invocation& invocation) {
  auto pair = co_await open_pair(context, invocation);
  if (!pair) co_return report_error(context, pair.error());
  const KvStore& from = pair->from;
  const KvStore& to = pair->to;
  auto job = KvJob::begin(context, invocation,
                          {.verb = "copied", .identity = pair->identity(), .store = from.url});
  if (!job) co_return report_error(context, job.error());
  auto sure = co_await confirm_if_interactive(
      context, invocation, fmt::format("Copy from {} to {}?", from.description(), to.description()),
      "copied");
  if (!sure) co_return report_error(context, sure.error());
  bulk::CopyOptions options{.selection = selection_from(invocation),
                            .exact = invocation.on("exact")};
  (*job)->note_batch_size(to.store->capabilities().put_entries);
  (*job)->show_progress({&from, &to});
  const bulk::Report report =
      co_await bulk::copy((*job)->job(), *from.store, *to.store, std::move(options));
  co_await (*job)->hide_progress();
  co_return (*job)->finish(report, {&from, &to},
                           {{"namespace", from.in.title}, {"to_namespace", to.in.title}});
}

}  // namespace

ExitCode run_kv_copy(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(run_copy(context, invocation));
}

}  // namespace sluice::cli
