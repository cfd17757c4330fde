#include "bulk/value_stream.h"

#include <algorithm>
#include <utility>

#include "bulk/byte_budget.h"
#include "io/task_group.h"

namespace sluice::bulk {

namespace {

// What a value is taken to weigh before the first ones have been seen.
constexpr double kFirstGuess = 4096;

class ValueStream {
 public:
  ValueStream(JobRun& run, store::Store& store, Source& source, bool exact, const ValueSink& sink)
      : run_(run),
        store_(store),
        source_(source),
        exact_(exact),
        sink_(sink),
        size_(std::min(run.job().settings.batch_size.value_or(SIZE_MAX),
                       store.capabilities().get_keys)),
        budget_(run.job().executor, run.job().settings.in_flight_bytes),
        turned_(run.job().executor) {}

  io::Task<> stream() {
    io::TaskGroup group(run_.job().executor, run_.job().settings.concurrency);
    Wanted wanted;
    while (!run_.ending()) {
      auto page = co_await source_.next();
      if (!page) {
        run_.end_early(page.error());
        break;
      }
      const std::uint64_t number =
          run_.open_page(page->after, page->listed, page->entries.size(), std::move(page->keys));
      const bool end = page->after.end;
      if (!page->entries.empty() && page->entries[0].presence == store::Presence::present) {
        co_await hand_over(std::move(page->entries), number);
      } else {
        for (const store::EntryView& entry : page->entries) {
          if (wanted.keys.size() >= batch_limit()) co_await send(group, wanted);
          if (run_.ending()) break;
          wanted.keys.append(entry);
          if (wanted.pages.empty() || wanted.pages.back().page != number)
            wanted.pages.push_back({.page = number});
          ++wanted.pages.back().entries;
        }
        // Lets the sink move the watermark over a page with nothing in it.
        if (page->entries.empty() && turn_ == next_turn_) co_await hand_over({}, number);
      }
      if (end) {
        if (!wanted.keys.empty() && !run_.ending()) co_await send(group, wanted);
        break;
      }
    }
    co_await group.join();
  }

 private:
  // Keys, with what the listing told of them, whose values are to be fetched.
  struct Wanted {
    store::Block keys;
    std::vector<PageRun> pages;
  };

  // As many keys as one call takes, but not so many that their values would fill half of what may
  // be in flight: then no second call could run beside it.
  [[nodiscard]] std::size_t batch_limit() const {
    const double fit = static_cast<double>(budget_.total()) / 2 / std::max(average_, 1.0);
    return std::clamp<std::size_t>(static_cast<std::size_t>(fit), 1, size_.limit());
  }

  // The claim is made here, in the order of the batches: were it made later, a batch could hold
  // what an earlier one waits for, while it waits for that one's turn.
  io::Task<> send(io::TaskGroup& group, Wanted& wanted) {
    // Until the first values have been seen, nothing is known of their size: the first batch goes
    // alone.
    const std::size_t claim =
        weighed_ ? static_cast<std::size_t>(average_ * static_cast<double>(wanted.keys.size()))
                 : budget_.total();
    co_await budget_.acquire(claim);
    Wanted batch = std::exchange(wanted, {});
    co_await group.spawn(fetch(std::move(batch), claim, next_turn_++));
  }

  io::Task<> fetch(Wanted wanted, std::size_t claim, std::uint64_t turn) {
    ValueBatch batch;
    batch.pages = std::move(wanted.pages);
    batch.entries.assign(wanted.keys.begin(), wanted.keys.end());
    const BatchCall call = [&](std::span<const std::size_t> which)
        -> io::Task<Result<std::vector<store::KeyFailure>>> {
      std::vector<std::string_view> keys;
      keys.reserve(which.size());
      for (const std::size_t index : which) keys.push_back(wanted.keys[index].key);
      auto answer = exact_ ? co_await store_.get_exact(keys) : co_await store_.get(keys);
      if (!answer) co_return std::unexpected(std::move(answer.error()));
      if (answer->entries.size() != which.size()) {
        co_return fail(ErrorCode::protocol, "asked for {} keys, but {} were answered", which.size(),
                       answer->entries.size());
      }
      for (std::size_t i = 0; i < which.size(); ++i) {
        merge(batch.entries[which[i]], answer->entries[i]);
      }
      for (store::KeyFailure& failure : answer->failed) failure.index = which[failure.index];
      batch.blocks.push_back(std::move(answer->entries));
      co_return std::move(answer->failed);
    };
    BatchOutcome outcome = co_await run_batch(run_.job(), size_, batch.entries.size(), call);
    batch.endings = std::move(outcome.endings);
    batch.reasons = std::move(outcome.reasons);
    for (std::size_t i = 0; i < batch.endings.size(); ++i) {
      if (batch.endings[i] != Ending::done) continue;
      const bool present = batch.entries[i].presence == store::Presence::present;
      batch.endings[i] = present ? Ending::open : Ending::skipped;
    }
    std::size_t bytes = 0;
    for (const store::Block& block : batch.blocks) bytes += block.bytes();
    budget_.correct(claim, bytes);
    if (!batch.entries.empty()) {
      const double weight = static_cast<double>(bytes) / static_cast<double>(batch.entries.size());
      // Rises at once and falls slowly: too high a guess costs a little speed, too low a one
      // memory.
      average_ = weight > average_ || !weighed_ ? weight : average_ * 0.8 + weight * 0.2;
      weighed_ = true;
    }

    while (turn_ != turn) co_await turned_.wait();
    if (outcome.ended) {
      run_.end_early(*outcome.ended);
      broken_ = true;  // what comes after the gap is not handed over
    }
    if (!broken_) {
      batch.blocks.push_back(std::move(wanted.keys));
      if (auto taken = co_await sink_(batch); !taken) {
        run_.end_early(taken.error());
        broken_ = true;
      }
    }
    ++turn_;
    turned_.notify_all();
    budget_.release(bytes);
  }

  // The value comes from the answer, metadata and expiry from the listing, if there was one: some
  // services leave them out of the answer to a bulk get.
  void merge(store::EntryView& entry, const store::EntryView& answer) const {
    entry.presence = answer.presence;
    entry.value = answer.value;
    if (source_.knows_metadata()) return;
    entry.metadata = answer.metadata;
    entry.expiration = answer.expiration;
  }

  // A page that came with its values, or an empty one.
  io::Task<> hand_over(store::Block entries, std::uint64_t page) {
    const std::uint64_t turn = next_turn_++;
    while (turn_ != turn) co_await turned_.wait();
    if (!broken_ && !run_.ending()) {
      ValueBatch batch;
      batch.entries.assign(entries.begin(), entries.end());
      batch.endings.assign(batch.entries.size(), Ending::open);
      batch.pages.push_back({.page = page, .entries = batch.entries.size()});
      batch.blocks.push_back(std::move(entries));
      if (auto taken = co_await sink_(batch); !taken) {
        run_.end_early(taken.error());
        broken_ = true;
      }
    }
    ++turn_;
    turned_.notify_all();
  }

  JobRun& run_;
  store::Store& store_;
  Source& source_;
  bool exact_;
  const ValueSink& sink_;
  flow::BatchSize size_;
  ByteBudget budget_;
  double average_ = kFirstGuess;  // bytes of a value
  bool weighed_ = false;
  // Batches are numbered as they begin; the sink is given number `turn_`.
  std::uint64_t next_turn_ = 0;
  std::uint64_t turn_ = 0;
  bool broken_ = false;
  io::Event turned_;
};

}  // namespace

io::Task<> stream_values(JobRun& run, store::Store& store, Source& source, bool exact,
                         const ValueSink& sink) {
  ValueStream stream(run, store, source, exact, sink);
  co_await stream.stream();
  co_await source.close();
}

}  // namespace sluice::bulk
