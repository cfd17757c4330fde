#include "bulk/erase_batches.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "bulk/batch_call.h"

namespace sluice::bulk {

io::Task<Result<>> EraseGuard::pass(std::uint64_t keys) const {
  if (max_delete && keys > *max_delete) {
    co_return fail(ErrorCode::conflict,
                   "{} keys match, more than --max-delete {}: nothing was deleted", keys,
                   *max_delete);
  }
  if (confirm) co_return co_await confirm(keys);
  co_return Result<>();
}

EraseBatches::EraseBatches(JobRun& run, store::Store& store, EraseWitness* witness)
    : run_(run),
      store_(store),
      witness_(witness),
      size_(std::min(run.job().settings.batch_size.value_or(SIZE_MAX),
                     store.capabilities().erase_keys)),
      group_(run.job().executor, changes_at_once(store, run.job().settings)) {}

io::Task<> EraseBatches::erase_all(Source& source) {
  Batch batch;
  while (!run_.ending()) {
    auto page = co_await source.next();
    if (!page) {
      run_.end_early(page.error());
      break;
    }
    const std::uint64_t number =
        run_.open_page(page->after, page->listed, page->entries.size(), std::move(page->bytes));
    for (const store::EntryView& entry : page->entries) {
      if (batch.keys.size() >= size_.limit()) co_await send(batch);
      if (run_.ending()) break;
      batch.keys.append({.key = entry.key,
                         .value = {},
                         .metadata = witness_ != nullptr ? entry.metadata : std::string_view()});
      if (batch.pages.empty() || batch.pages.back().page != number)
        batch.pages.push_back({.page = number});
      ++batch.pages.back().entries;
    }
    if (page->entries.empty()) commit();
    if (page->after.end) {
      if (!batch.keys.empty() && !run_.ending()) co_await send(batch);
      break;
    }
  }
  co_await group_.join();
  co_await source.close();
}

io::Task<> EraseBatches::send(Batch& batch) {
  Batch full = std::exchange(batch, {});
  co_await group_.spawn(erase_batch(std::move(full)));
}

io::Task<> EraseBatches::erase_batch(Batch batch) {
  const BatchCall call =
      [&](std::span<const std::size_t> which) -> io::Task<Result<std::vector<store::KeyFailure>>> {
    std::vector<std::string_view> keys;
    keys.reserve(which.size());
    for (const std::size_t index : which) keys.push_back(batch.keys[index].key);
    auto answer = co_await store_.erase(keys);
    if (!answer) co_return std::unexpected(std::move(answer.error()));
    for (store::KeyFailure& failure : answer->failed) failure.index = which[failure.index];
    co_return std::move(answer->failed);
  };
  // Its place may have come free because the run was stopped: the witness then hears nothing of
  // entries that nobody will delete.
  if (run_.ending()) co_return;
  if (witness_ != nullptr) {
    if (auto noted = co_await witness_->before(batch.keys); !noted) {
      run_.end_early(noted.error());
      co_return;
    }
  }
  BatchOutcome outcome = co_await run_batch(run_.job(), size_, batch.keys.size(), call);
  if (witness_ != nullptr) {
    // Not counted as ended: the resumed run does it again, and the witness hears of it again.
    if (auto told = co_await witness_->after(batch.keys, outcome); !told) {
      run_.end_early(told.error());
      co_return;
    }
  }
  settle_batch(run_, batch.pages, outcome.endings, outcome.reasons,
               [&](std::size_t index) { return batch.keys[index].key; });
  if (outcome.ended) run_.end_early(*outcome.ended);
  commit();
}

void EraseBatches::commit() {
  if (auto committed = run_.commit(); !committed) run_.end_early(committed.error());
}

}  // namespace sluice::bulk
