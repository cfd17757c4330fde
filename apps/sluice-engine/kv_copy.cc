// sluice kv copy
#include <boost/json.hpp>
#include <utility>

#include "bulk/copy.h"
#include "commands.h"
#include "kv_job.h"
#include "kv_store.h"

namespace sluice::cli {

namespace {

Error usage(std::string message) {
  return {ErrorCode::invalid_argument, Retry::never, std::nullopt, std::move(message)};
}

io::Task<ExitCode> run_copy(Context& context, const Invocation& invocation) {
  const bool dry_run = invocation.on("dry-run");
  const StorePlace from_place = source_place(context, invocation);
  StorePlace to_place{.url = invocation.value("to").value_or(from_place.url),
                      .name = invocation.value("to-namespace").value_or(""),
                      .id = invocation.value("to-namespace-id").value_or(""),
                      .create = invocation.on("create-namespace")};
  if (to_place.name.empty() && to_place.id.empty()) to_place.name = from_place.name;
  auto from = co_await open_store(context, from_place);
  if (!from) co_return report_error(context, from.error());
  // Opened by its id, a namespace has no name that the copy could take.
  auto to = co_await open_store(context, to_place, dry_run, &*from);
  if (!to) co_return report_error(context, to.error());
  if (from->opened.backend->description() == to->opened.backend->description() &&
      from->in.id == to->in.id) {
    co_return report_error(context,
                           usage("source and target are the same namespace: name another one with "
                                 "--to or --to-namespace"));
  }
  auto job = KvJob::begin(
      context, invocation,
      {.verb = "copied",
       .identity = fmt::format("{}\n{}\n{}\n{}", from->url, from->in.id, to->url, to->in.id),
       .store = from->url});
  if (!job) co_return report_error(context, job.error());
  if (invocation.on("interactive") && !invocation.on("yes")) {
    if (!context.console.interactive()) {
      co_return report_error(context, usage("--interactive needs a terminal to ask on"));
    }
    auto yes = co_await context.console.confirm(
        context.stop, fmt::format("Copy from {} to {}?", from->description(), to->description()));
    if (!yes) co_return report_error(context, yes.error());
    if (!*yes)
      co_return report_error(context, {ErrorCode::conflict, Retry::never, std::nullopt,
                                       "not confirmed: nothing was copied"});
  }
  bulk::CopyOptions options{.selection = selection_from(invocation),
                            .exact = invocation.on("exact")};
  (*job)->note_batch_size(to->store->capabilities().put_entries);
  (*job)->show_progress();
  const bulk::Report report =
      co_await bulk::copy((*job)->job(), *from->store, *to->store, std::move(options));
  co_await (*job)->hide_progress();
  co_return (*job)->finish(report, {&*from, &*to},
                           {{"namespace", from->in.title}, {"to_namespace", to->in.title}});
}

}  // namespace

ExitCode run_kv_copy(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(run_copy(context, invocation));
}

}  // namespace sluice::cli
