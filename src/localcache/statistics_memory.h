// What is in the mapped file of Statistics, and how it is touched. For its two .cc files.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "localcache/statistics.h"

namespace sluice::localcache {

inline constexpr std::uint64_t kStatisticsMagic = 0x3154'4154'5343'4c53;  // "SLCSTAT1"
inline constexpr std::size_t kOperations = 16;                            // room for more of them
inline constexpr std::size_t kCounters = 16;
inline constexpr std::size_t kBuckets = 128;

struct TimedOperation {
  std::uint64_t count;
  std::uint64_t total;    // nanoseconds
  std::uint64_t longest;  // nanoseconds
  std::uint64_t buckets[kBuckets];
};
// When and what (44 bits of Unix milliseconds, 6 of the operation), and how long (50 bits of 100
// ns); each with the low 14 bits of the number of the record, by which halves of two records are
// told.
struct TimedRecord {
  std::uint64_t what;
  std::uint64_t took;
};
inline constexpr unsigned kTagBits = 14;
inline constexpr std::uint64_t kTagMask = (1U << kTagBits) - 1;
static_assert(Statistics::most_recorded % (kTagMask + 1) != 0, "two laps could not be told apart");
// An id (36 bits), the check (12 bits) and how often (16 bits); 0: free.
struct PendingHit {
  std::uint64_t word;
  std::int64_t last;  // Unix milliseconds
};
inline constexpr unsigned kTimesBits = 16;
inline constexpr std::uint64_t kTimesMask = (1U << kTimesBits) - 1;
inline constexpr unsigned kCheckBits = 12;
inline constexpr std::uint64_t kCheckMask = (1U << kCheckBits) - 1;
inline constexpr unsigned kIdBits = 64 - kTimesBits - kCheckBits;
// An entry's hits are in one of so many places beside each other.
inline constexpr std::size_t kProbes = 8;

template <class Number>
std::atomic_ref<Number> atomic(Number& number) {
  return std::atomic_ref<Number>(number);
}
inline constexpr auto kRelaxed = std::memory_order_relaxed;

inline std::int64_t now_milliseconds() {
  return std::chrono::floor<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct Statistics::Memory {
  std::uint64_t magic;
  std::uint64_t size;
  std::int64_t since;  // Unix milliseconds
  std::uint64_t head;  // the number of the next record
  std::uint64_t next_place;
  std::uint64_t counters[kCounters];
  TimedOperation operations[kOperations];
  TimedRecord records[most_recorded];
  PendingHit hits[hit_places];
};

}  // namespace sluice::localcache
