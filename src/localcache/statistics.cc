#include "localcache/statistics.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "localcache/statistics_memory.h"

namespace sluice::localcache {

namespace {

// Buckets of 64 ns up to four of them; from there on four for each doubling, up to nine minutes.
std::size_t bucket_of(std::uint64_t nanoseconds) {
  const std::uint64_t units = nanoseconds >> 6;
  if (units < 4) return units;
  const auto octave = static_cast<unsigned>(std::bit_width(units)) - 1;
  return std::min<std::size_t>((octave - 1) * 4 + ((units >> (octave - 2)) & 3), kBuckets - 1);
}

// The middle of a bucket, in nanoseconds.
std::uint64_t middle_of(std::size_t bucket) {
  const auto edge = [](std::size_t number) -> std::uint64_t {
    if (number < 4) return std::uint64_t{number} << 6;
    return ((4 + number % 4) << (number / 4 - 1)) << 6;
  };
  return (edge(bucket) + edge(bucket + 1)) / 2;
}

// Of a file that may hold anything: the clock's nanoseconds end with the year 2261.
std::chrono::system_clock::time_point time_of(std::int64_t milliseconds) {
  constexpr std::int64_t kLatest = 9'214'646'400'000;
  return std::chrono::system_clock::time_point(
      std::chrono::milliseconds(std::clamp<std::int64_t>(milliseconds, 0, kLatest)));
}

std::size_t first_place(std::uint64_t id) {
  return (id * 0x9e37'79b9'7f4a'7c15U) >> 52;
}
static_assert(Statistics::hit_places == 1U << 12, "what first_place counts on");

Timing timing_of(TimedOperation& operation, Timed which) {
  Timing timing{.operation = which};
  timing.count = atomic(operation.count).load(kRelaxed);
  timing.total = std::chrono::nanoseconds(static_cast<std::int64_t>(std::min<std::uint64_t>(
      atomic(operation.total).load(kRelaxed), std::numeric_limits<std::int64_t>::max())));
  const std::uint64_t longest = atomic(operation.longest).load(kRelaxed);
  timing.longest = std::chrono::nanoseconds(static_cast<std::int64_t>(longest));
  std::array<std::uint64_t, kBuckets> buckets{};
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    sum += buckets[i] = atomic(operation.buckets[i]).load(kRelaxed);
  }
  const auto percentile = [&](std::uint64_t percent) {
    // The least bucket that has so many in it and below it.
    const std::uint64_t wanted = (sum * percent + 99) / 100;
    std::uint64_t seen = 0;
    std::size_t bucket = 0;
    while (bucket + 1 < kBuckets && (seen += buckets[bucket]) < wanted) ++bucket;
    return std::chrono::nanoseconds(
        static_cast<std::int64_t>(std::min(middle_of(bucket), longest)));
  };
  timing.p50 = percentile(50);
  timing.p95 = percentile(95);
  timing.p99 = percentile(99);
  return timing;
}

}  // namespace

std::string_view name(Timed operation) {
  constexpr std::array<std::string_view, kTimedCount> names = {
      "read_cache",     "write_cache", "delete_cache", "batch_cache", "list_cache",
      "get_cache_size", "exec_cache",  "acquire_lock", "gc_cache",    "verify_cache",
      "clear_cache",    "limit_cache", "repair_cache"};
  return names.at(static_cast<std::size_t>(operation));
}

std::string_view name(Counter counter) {
  constexpr std::array<std::string_view, kCounterCount> names = {"hits",    "misses",  "stale_hits",
                                                                 "evicted", "expired", "lost_hits"};
  return names.at(static_cast<std::size_t>(counter));
}

void Statistics::record(Timed operation, std::chrono::nanoseconds took) {
  // A day at most: what callers bring must not make a sum that is none.
  const auto nanoseconds = static_cast<std::uint64_t>(std::clamp<std::int64_t>(
      took.count(), 0, std::chrono::nanoseconds(std::chrono::days(1)).count()));
  TimedOperation& of = memory_->operations[static_cast<std::size_t>(operation)];
  atomic(of.count).fetch_add(1, kRelaxed);
  atomic(of.buckets[bucket_of(nanoseconds)]).fetch_add(1, kRelaxed);
  atomic(of.total).fetch_add(nanoseconds, kRelaxed);
  std::uint64_t longest = atomic(of.longest).load(kRelaxed);
  while (longest < nanoseconds &&
         !atomic(of.longest).compare_exchange_weak(longest, nanoseconds, kRelaxed)) {
  }
  const std::uint64_t number = atomic(memory_->head).fetch_add(1, kRelaxed);
  TimedRecord& record = memory_->records[number % most_recorded];
  const std::uint64_t tag = number & kTagMask;
  atomic(record.took).store((nanoseconds / 100) << kTagBits | tag, kRelaxed);
  atomic(record.what)
      .store(static_cast<std::uint64_t>(now_milliseconds()) << 20 |
                 static_cast<std::uint64_t>(operation) << kTagBits | tag,
             std::memory_order_release);
}

void Statistics::add(Counter counter, std::uint64_t times) {
  atomic(memory_->counters[static_cast<std::size_t>(counter)]).fetch_add(times, kRelaxed);
}

bool Statistics::same_check(std::uint32_t kept, std::uint32_t check) {
  return kept == (check & kCheckMask);
}

void Statistics::hit(std::uint64_t id, std::uint32_t check,
                     std::chrono::system_clock::time_point when) {
  const std::int64_t last =
      std::chrono::floor<std::chrono::milliseconds>(when.time_since_epoch()).count();
  if (id != 0 && id >> kIdBits == 0) {
    const std::uint64_t who = id << kCheckBits | (check & kCheckMask);
    const std::size_t first = first_place(id);
    for (std::size_t probe = 0; probe < kProbes; ++probe) {
      PendingHit& place = memory_->hits[(first + probe) % hit_places];
      std::uint64_t word = atomic(place.word).load(kRelaxed);
      // Free, or the same entry, or one that had this id before.
      while (word == 0 || word >> (kTimesBits + kCheckBits) == id) {
        const bool same = word >> kTimesBits == who;
        const std::uint64_t times = same ? std::min((word & kTimesMask) + 1, kTimesMask) : 1;
        if (atomic(place.word).compare_exchange_weak(word, who << kTimesBits | times, kRelaxed)) {
          atomic(place.last).store(last, kRelaxed);
          return;
        }
      }
    }
  }
  add(Counter::lost_hits);
}

namespace {

// What a place holds, which is free then.
Statistics::Hits take(PendingHit& place, std::uint64_t word) {
  Statistics::Hits hits;
  // What is counted between the two goes with it.
  while (word != 0 && !atomic(place.word).compare_exchange_weak(word, 0, kRelaxed)) {
  }
  hits.id = word >> (kTimesBits + kCheckBits);
  hits.check = static_cast<std::uint32_t>(word >> kTimesBits & kCheckMask);
  hits.times = word & kTimesMask;
  hits.last = time_of(atomic(place.last).load(kRelaxed));
  return hits;
}

}  // namespace

std::optional<Statistics::Hits> Statistics::take_hits(std::uint64_t id) {
  std::optional<Hits> all;
  const std::size_t first = first_place(id);
  for (std::size_t probe = 0; probe < kProbes; ++probe) {
    PendingHit& place = memory_->hits[(first + probe) % hit_places];
    const std::uint64_t word = atomic(place.word).load(kRelaxed);
    if (word == 0 || word >> (kTimesBits + kCheckBits) != id) continue;
    const Hits hits = take(place, word);
    if (hits.id != id) continue;  // taken by somebody else meanwhile
    if (!all) {
      all = hits;
    } else if (all->check == hits.check) {
      all->times += hits.times;
      all->last = std::max(all->last, hits.last);
    }
  }
  return all;
}

std::vector<Statistics::Hits> Statistics::take_some_hits(std::size_t most, std::size_t places) {
  std::vector<Hits> taken;
  places = std::min(places, hit_places);
  const std::uint64_t from = atomic(memory_->next_place).fetch_add(places, kRelaxed);
  for (std::size_t i = 0; i < places && taken.size() < most; ++i) {
    PendingHit& place = memory_->hits[(from + i) % hit_places];
    const std::uint64_t word = atomic(place.word).load(kRelaxed);
    if (word == 0) continue;
    const Hits hits = take(place, word);
    if (hits.id != 0) taken.push_back(hits);
  }
  return taken;
}

StatisticsView Statistics::view() const {
  StatisticsView view;
  view.since = time_of(atomic(memory_->since).load(kRelaxed));
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    view.counters[i] = atomic(memory_->counters[i]).load(kRelaxed);
  }
  for (std::size_t i = 0; i < kTimedCount; ++i) {
    TimedOperation& operation = memory_->operations[i];
    if (atomic(operation.count).load(kRelaxed) > 0) {
      view.timings.push_back(timing_of(operation, static_cast<Timed>(i)));
    }
  }
  const std::uint64_t end = atomic(memory_->head).load(kRelaxed);
  for (std::uint64_t number = end - std::min<std::uint64_t>(end, most_recorded); number < end;
       ++number) {
    TimedRecord& record = memory_->records[number % most_recorded];
    const std::uint64_t what = atomic(record.what).load(std::memory_order_acquire);
    const std::uint64_t took = atomic(record.took).load(kRelaxed);
    const std::uint64_t operation = what >> kTagBits & 0x3f;
    // A record that is being written, or whose writer was killed in between, is left out.
    if ((what & kTagMask) != (number & kTagMask) || (took & kTagMask) != (number & kTagMask) ||
        operation >= kTimedCount) {
      continue;
    }
    view.recorded.push_back(
        {.when = time_of(static_cast<std::int64_t>(what >> 20)),
         .operation = static_cast<Timed>(operation),
         .took = std::chrono::nanoseconds(static_cast<std::int64_t>(took >> kTagBits) * 100)});
  }
  return view;
}

void Statistics::reset() {
  for (TimedOperation& operation : memory_->operations) {
    atomic(operation.count).store(0, kRelaxed);
    atomic(operation.total).store(0, kRelaxed);
    atomic(operation.longest).store(0, kRelaxed);
    for (std::uint64_t& bucket : operation.buckets) atomic(bucket).store(0, kRelaxed);
  }
  for (std::uint64_t& counter : memory_->counters) atomic(counter).store(0, kRelaxed);
  for (TimedRecord& record : memory_->records) {
    atomic(record.what).store(0, kRelaxed);
    atomic(record.took).store(0, kRelaxed);
  }
  atomic(memory_->head).store(0, kRelaxed);
  atomic(memory_->since).store(now_milliseconds(), kRelaxed);
}

}  // namespace sluice::localcache
