// sluice kv delete
#include <boost/json.hpp>
#include <utility>

#include "bulk/erase.h"
#include "commands.h"
#include "consent.h"
#include "keys_argument.h"
#include "kv_job.h"
#include "kv_store.h"

namespace sluice::cli {

namespace {

io::Task<ExitCode> run_delete(Context& context, const Invocation& invocation) {
  bulk::Selection selection = selection_from(invocation);
  // Set for a listing and left in the environment, it would delete everything.
  if (invocation.origin("all") == Origin::environment) selection.all = false;
  if (invocation.arguments().empty() && !selection.selects_something() && !selection.all) {
    co_return report_error(
        context,
        {ErrorCode::invalid_argument, Retry::never, std::nullopt,
         "nothing is selected: name keys or a selection (--prefix, --search, --keys-file …; "
         "--limit only narrows one down), "
         "or --all-keys to delete every entry"});
  }
  const bool dry_run = invocation.on("dry-run");
  const auto ask = must_ask(context, invocation, "kv delete");
  if (!ask) co_return report_error(context, ask.error());
  // A pattern that does not compile is told before anything is asked of the store.
  if (auto filter = bulk::Filter::compile(selection); !filter)
    co_return report_error(context, filter.error());
  std::optional<KeysArgument> keys;
  if (!invocation.arguments().empty()) {
    auto made = KeysArgument::make(invocation.arguments(), selection);
    if (!made) co_return report_error(context, made.error());
    keys.emplace(std::move(*made));
  }
  StorePlace place = source_place(context, invocation);
  place.remembered = keys.has_value();
  auto kv = co_await open_store(context, place, dry_run);
  if (!kv) co_return report_error(context, kv.error());
  auto job = KvJob::begin(context, invocation,
                          {.verb = "deleted",
                           .identity = fmt::format("{}\n{}", kv->url, kv->in.id),
                           .store = kv->url,
                           .resumable = !keys});
  if (!job) co_return report_error(context, job.error());

  bulk::EraseOptions options{.selection = std::move(selection),
                             .guard = erase_guard(context, invocation, **job, *ask, *kv)};
  (*job)->note_batch_size(kv->store->capabilities().erase_keys);
  (*job)->show_progress({&*kv});
  const bulk::Report report = co_await bulk::erase((*job)->job(), *kv->store, std::move(options));
  co_await (*job)->hide_progress();
  co_return (*job)->finish(report, {&*kv}, {{"namespace", kv->in.title}});
}

}  // namespace

ExitCode run_kv_delete(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(run_delete(context, invocation));
}

}  // namespace sluice::cli
