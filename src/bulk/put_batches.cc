#include "bulk/put_batches.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <utility>

namespace sluice::bulk {

namespace {

// Half of the bytes in flight are for what is being written; the other half for what is read
// meanwhile.
std::size_t bytes_being_written(const JobSettings& settings) {
  return std::max<std::size_t>(1, settings.in_flight_bytes / 2);
}

// What a batch takes in memory while it is written. A remote store makes a request body of it,
// which holds all of it once more.
std::size_t footprint(const store::Store& store, std::size_t entries, std::size_t bytes) {
  const std::size_t block = bytes + entries * sizeof(store::EntryView);
  return store.capabilities().remote ? 3 * block : block;
}

std::size_t weight(const store::EntryView& entry) {
  return entry.key.size() + entry.value.size() + entry.metadata.size();
}

}  // namespace

PutBatches::PutBatches(JobRun& run, store::Store& store)
    : run_(run),
      store_(store),
      size_(std::min(run.job().settings.batch_size.value_or(SIZE_MAX),
                     store.capabilities().put_entries)),
      batcher_(size_.limit(),
               std::min(store.capabilities().put_bytes, bytes_being_written(run.job().settings))),
      budget_(run.job().executor, bytes_being_written(run.job().settings)),
      ended_(run.job().executor),
      group_(run.job().executor, changes_at_once(store, run.job().settings)) {}

bool PutBatches::has_room(const store::EntryView& entry) const {
  return batcher_.fits(weight(entry));
}

void PutBatches::append(const store::EntryView& entry, std::uint64_t page, std::string_view from,
                        std::string_view to) {
  batcher_.add(weight(entry));
  batch_.entries.append(entry);
  if (batch_.pages.empty() || batch_.pages.back().page != page) {
    batch_.pages.push_back({.page = page, .stretch = {.from = std::string(from), .to = {}}});
  }
  ++batch_.pages.back().entries;
  batch_.pages.back().stretch.to.assign(to);
}

io::Task<> PutBatches::add(const store::EntryView& entry, std::uint64_t page, std::string_view from,
                           std::string_view to) {
  if (!has_room(entry)) co_await send();
  if (!run_.ending()) append(entry, page, from, to);
}

io::Task<Result<>> PutBatches::take(ValueBatch& batch) {
  std::ranges::sort(batch.reasons, {}, &store::KeyFailure::index);
  auto reason = batch.reasons.begin();
  std::size_t next = 0;
  for (const PageRun& part : batch.pages) {
    for (const std::size_t end = next + part.entries; next < end; ++next) {
      const store::EntryView& entry = batch.entries[next];
      move_to(part.page, entry.key);
      if (batch.endings[next] == Ending::open) {
        if (has_room(entry)) {
          append(entry, part.page, from_, to_);
        } else {
          co_await add(entry, part.page, from_, to_);
        }
      } else if (batch.endings[next] == Ending::failed) {
        std::vector<FailedKey> failed;
        failed.push_back({std::string(entry.key), std::move((reason++)->error)});
        run_.settle(part.page, {.failed = 1}, std::move(failed), {from_, to_});
      } else {
        run_.settle(part.page, {.skipped = 1}, {}, {from_, to_});
      }
      from_.swap(to_);
      if (run_.ending()) co_return Result<>();
    }
  }
  co_return run_.commit();
}

// Sets from_ and to_ for the next entry of the source of values.
void PutBatches::move_to(std::uint64_t page, std::string_view key) {
  if (page_ != page) {
    page_ = page;
    const Stretch& stretch = run_.stretch(page);
    ordered_ = !stretch.empty();
    from_ = stretch.from;
  }
  to_.clear();
  if (ordered_) to_.append(key).push_back('\0');
}

io::Task<> PutBatches::finish() {
  if (!batch_.entries.empty() && !run_.ending()) co_await send();
  co_await group_.join();
}

bool PutBatches::clashes(const Batch& batch) const {
  return std::any_of(batch.hashes.begin(), batch.hashes.end(),
                     [&](std::uint64_t hash) { return under_way_.contains(hash); });
}

io::Task<> PutBatches::send() {
  const std::size_t bytes = footprint(store_, batcher_.items(), batcher_.bytes());
  Batch batch = std::exchange(batch_, {});
  batcher_.clear();
  batcher_.set_most_items(size_.limit());
  if (store_.capabilities().remote) {
    batch.hashes.reserve(batch.entries.size());
    for (const store::EntryView& entry : batch.entries) {
      batch.hashes.push_back(XXH3_64bits(entry.key.data(), entry.key.size()));
    }
    // Other batches may end in any order: a key that is still under way has to land first.
    while (clashes(batch)) co_await ended_.wait();
    for (const std::uint64_t hash : batch.hashes) ++under_way_[hash];
  }
  co_await budget_.acquire(bytes);
  if (run_.ending()) co_return;
  co_await group_.spawn(put(std::move(batch), bytes));
}

io::Task<> PutBatches::put(Batch batch, std::size_t bytes) {
  const BatchCall call =
      [&](std::span<const std::size_t> which) -> io::Task<Result<std::vector<store::KeyFailure>>> {
    std::vector<store::EntryView> some;
    std::span<const store::EntryView> entries = batch.entries.entries();
    if (which.size() != entries.size()) {
      some.reserve(which.size());
      for (const std::size_t index : which) some.push_back(entries[index]);
      entries = some;
    }
    auto answer = co_await store_.put(entries);
    if (!answer) co_return std::unexpected(std::move(answer.error()));
    for (store::KeyFailure& failure : answer->failed) failure.index = which[failure.index];
    co_return std::move(answer->failed);
  };
  BatchOutcome outcome = co_await run_batch(run_.job(), size_, batch.entries.size(), call);
  settle_batch(run_, batch.pages, outcome.endings, outcome.reasons,
               [&](std::size_t index) { return batch.entries[index].key; });
  if (outcome.ended) run_.end_early(*outcome.ended);
  if (auto committed = run_.commit(); !committed) run_.end_early(committed.error());
  for (const std::uint64_t hash : batch.hashes) {
    if (const auto held = under_way_.find(hash); --held->second == 0) under_way_.erase(held);
  }
  budget_.release(bytes);
  ended_.notify_all();
}

}  // namespace sluice::bulk
