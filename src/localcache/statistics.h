// Statistics: counters, latencies and hits of processes that live a millisecond.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::localcache {

// What is timed. The values are part of the file's format: new ones come at the end.
enum class Timed : std::uint8_t {
  get,
  set,
  erase,
  batch,
  list,
  size,
  exec,
  lock,
  gc,
  verify,
  clear,
  limit,
  repair,
};
inline constexpr std::size_t kTimedCount = 13;
// "read_cache", "write_cache", …: the names of the documented exports.
[[nodiscard]] std::string_view name(Timed operation);

// What is counted.
enum class Counter : std::uint8_t { hits, misses, stale_hits, evicted, expired, lost_hits };
inline constexpr std::size_t kCounterCount = 6;
[[nodiscard]] std::string_view name(Counter counter);

// How one operation has gone so far.
struct Timing {
  Timed operation{};
  std::uint64_t count = 0;
  std::chrono::nanoseconds total{};
  std::chrono::nanoseconds longest{};
  // Half, 95 % and 99 % took no longer; known to a fifth of their value.
  std::chrono::nanoseconds p50{};
  std::chrono::nanoseconds p95{};
  std::chrono::nanoseconds p99{};
};

// One of the last operations.
struct Recorded {
  std::chrono::system_clock::time_point when;  // it ended, to a millisecond
  Timed operation{};
  std::chrono::nanoseconds took{};
};

// Everything at one moment; what processes do meanwhile may be in one number and not in another.
struct StatisticsView {
  std::chrono::system_clock::time_point since;
  std::array<std::uint64_t, kCounterCount> counters{};
  std::vector<Timing> timings;     // of operations that were done at least once
  std::vector<Recorded> recorded;  // the last 10,000, oldest first
};

// A small file that all processes which use a namespace map into their memory, and change with
// atomic operations: nothing is locked, nothing allocated, and a process that is killed at any
// moment leaves it usable; at most the operation that it was about is missing.
//
// Beside what is measured it holds the hits that no write has folded into the database yet (see
// Cache): a hit is one atomic operation, so that a read needs no transaction.
//
// Any number of threads may call `record`, `add` and `hit` at once.
class Statistics {
 public:
  static constexpr std::size_t most_recorded = 10'000;

  struct Opened {
    std::unique_ptr<Statistics> statistics;
    // The file was damaged, or of another version, and was begun anew.
    bool replaced = false;
  };
  // Maps the file at `path`, made with `mode` if it does not exist. A damaged one is replaced.
  static Result<Opened> open(const std::string& path, unsigned mode = 0600);
  // Only to look at: the file must exist (not_found) and be whole (corrupt).
  static Result<StatisticsView> read(const std::string& path);

  ~Statistics();
  Statistics(const Statistics&) = delete;
  Statistics& operator=(const Statistics&) = delete;

  // An operation has ended.
  void record(Timed operation, std::chrono::nanoseconds took);
  void add(Counter counter, std::uint64_t times = 1);

  // The entry `id` was read at `when`. `check` are any bits that tell it from another entry that
  // may get this id later. When there is no room the hit is counted as lost.
  void hit(std::uint64_t id, std::uint32_t check, std::chrono::system_clock::time_point when);

  struct Hits {
    std::uint64_t id = 0;
    std::uint32_t check = 0;  // the low bits of it that were kept: compare with `same_check`
    std::uint64_t times = 0;
    std::chrono::system_clock::time_point last;
  };
  static bool same_check(std::uint32_t kept, std::uint32_t check);
  // Takes out the hits of one entry, or nothing.
  std::optional<Hits> take_hits(std::uint64_t id);
  // Takes out the hits of some entries, `most` at most, looking at `places` places at most: callers
  // take turns with the places.
  std::vector<Hits> take_some_hits(std::size_t most, std::size_t places);
  // How many places there are.
  static constexpr std::size_t hit_places = 4096;

  [[nodiscard]] StatisticsView view() const;
  // Forgets what was measured, not the pending hits.
  void reset();

  // The content of the file.
  struct Memory;

 private:
  explicit Statistics(Memory& memory) : memory_(&memory) {}
  Memory* memory_;
};

}  // namespace sluice::localcache
