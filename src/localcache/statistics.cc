#include "localcache/statistics.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdio>

#include "localcache/files.h"

namespace sluice::localcache {

namespace {

constexpr std::uint64_t kMagic = 0x3154'4154'5343'4c53;  // "SLCSTAT1"
constexpr std::size_t kOperations = 16;                  // room for more of them
constexpr std::size_t kCounters = 16;
constexpr std::size_t kBuckets = 128;

struct Operation {
  std::uint64_t count;
  std::uint64_t total;    // nanoseconds
  std::uint64_t longest;  // nanoseconds
  std::uint64_t buckets[kBuckets];
};
// When and what (44 bits of Unix milliseconds, 6 of the operation), and how long (50 bits of 100
// ns); each with the low 14 bits of the number of the record, by which halves of two records are
// told.
struct Record {
  std::uint64_t what;
  std::uint64_t took;
};
constexpr unsigned kTagBits = 14;
constexpr std::uint64_t kTagMask = (1U << kTagBits) - 1;
static_assert(Statistics::most_recorded % (kTagMask + 1) != 0, "two laps could not be told apart");
// An id (36 bits), the check (12 bits) and how often (16 bits); 0: free.
struct Hit {
  std::uint64_t word;
  std::int64_t last;  // Unix milliseconds
};
constexpr unsigned kTimesBits = 16;
constexpr std::uint64_t kTimesMask = (1U << kTimesBits) - 1;
constexpr unsigned kCheckBits = 12;
constexpr std::uint64_t kCheckMask = (1U << kCheckBits) - 1;
constexpr unsigned kIdBits = 64 - kTimesBits - kCheckBits;
// An entry's hits are in one of so many places beside each other.
constexpr std::size_t kProbes = 8;

template <class Number>
std::atomic_ref<Number> shared(Number& number) {
  return std::atomic_ref<Number>(number);
}
constexpr auto kRelaxed = std::memory_order_relaxed;

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

std::int64_t now_milliseconds() {
  return std::chrono::floor<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
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

}  // namespace

struct Statistics::Memory {
  std::uint64_t magic;
  std::uint64_t size;
  std::int64_t since;  // Unix milliseconds
  std::uint64_t head;  // the number of the next record
  std::uint64_t next_place;
  std::uint64_t counters[kCounters];
  Operation operations[kOperations];
  Record records[most_recorded];
  Hit hits[hit_places];
};

namespace {

// That it can be what we wrote: what was torn by killed processes is less than this.
bool is_plausible(Statistics::Memory& memory) {
  constexpr std::uint64_t kTorn = 1000;
  if (shared(memory.magic).load(kRelaxed) != kMagic ||
      shared(memory.size).load(kRelaxed) != sizeof memory) {
    return false;
  }
  for (std::size_t i = 0; i < kOperations; ++i) {
    Operation& operation = memory.operations[i];
    const std::uint64_t count = shared(operation.count).load(kRelaxed);
    std::uint64_t sum = 0;
    for (std::uint64_t& bucket : operation.buckets) sum += shared(bucket).load(kRelaxed);
    if ((count > sum ? count - sum : sum - count) > kTorn + count / 100) return false;
  }
  return true;
}

struct Mapped {
  Statistics::Memory* memory = nullptr;
  bool damaged = false;
};

Mapped map(int file, bool writable) {
  struct stat status{};
  if (::fstat(file, &status) != 0) return {};
  if (status.st_size != static_cast<off_t>(sizeof(Statistics::Memory))) return {.damaged = true};
  void* const at = ::mmap(nullptr, sizeof(Statistics::Memory),
                          writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file, 0);
  if (at == MAP_FAILED) return {};
  auto* const memory = static_cast<Statistics::Memory*>(at);
  if (is_plausible(*memory)) return {.memory = memory};
  ::munmap(at, sizeof(Statistics::Memory));
  return {.damaged = true};
}

// Writes an empty file beside `path` and puts it there: in place of what is there, or only if
// nothing is.
Result<> put_empty(const std::string& path, unsigned mode, bool replace) {
  const std::string temporary = path + ".new-" + random_name();
  const Descriptor file = open_file(temporary, O_RDWR | O_CREAT | O_EXCL, mode);
  if (!file) return std::unexpected(system_error(errno, fmt::format("make {}", temporary)));
  struct Header {
    std::uint64_t magic = kMagic;
    std::uint64_t size = sizeof(Statistics::Memory);
    std::int64_t since = now_milliseconds();
  };
  const Header header;
  // Really there, not a hole: writing into a hole of a mapped file on a full disk kills.
  errno = ::posix_fallocate(file.get(), 0, sizeof(Statistics::Memory));
  int reason = errno;
  if (reason == 0) {
    auto written = write_all_at(file.get(), temporary,
                                {reinterpret_cast<const char*>(&header), sizeof header}, 0);
    if (!written) {
      ::unlink(temporary.c_str());
      return written;
    }
    const int put = replace ? ::rename(temporary.c_str(), path.c_str())
                            : ::link(temporary.c_str(), path.c_str());
    reason = put == 0 || errno == EEXIST ? 0 : errno;
  }
  ::unlink(temporary.c_str());
  if (reason != 0) return std::unexpected(system_error(reason, fmt::format("make {}", path)));
  return {};
}

bool is_still_at(int file, const std::string& path) {
  struct stat ours{};
  struct stat there{};
  return ::fstat(file, &ours) == 0 && ::stat(path.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

Timing timing_of(Operation& operation, Timed which) {
  Timing timing{.operation = which};
  timing.count = shared(operation.count).load(kRelaxed);
  timing.total =
      std::chrono::nanoseconds(static_cast<std::int64_t>(shared(operation.total).load(kRelaxed)));
  const std::uint64_t longest = shared(operation.longest).load(kRelaxed);
  timing.longest = std::chrono::nanoseconds(static_cast<std::int64_t>(longest));
  std::array<std::uint64_t, kBuckets> buckets{};
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    sum += buckets[i] = shared(operation.buckets[i]).load(kRelaxed);
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

Result<Statistics::Opened> Statistics::open(const std::string& path, unsigned mode) {
  bool replaced = false;
  // Each turn ends with a file that is whole, unless others damage it as fast as it is replaced.
  for (int turn = 0; turn < 10; ++turn) {
    const Descriptor file = open_file(path, O_RDWR);
    if (!file) {
      if (errno != ENOENT)
        return std::unexpected(system_error(errno, fmt::format("open {}", path)));
      if (auto made = put_empty(path, mode, false); !made) return std::unexpected(made.error());
      continue;
    }
    const Mapped mapped = map(file.get(), true);
    if (mapped.memory != nullptr) {
      return Opened{std::unique_ptr<Statistics>(new Statistics(*mapped.memory)), replaced};
    }
    if (!mapped.damaged) return std::unexpected(system_error(errno, fmt::format("map {}", path)));
    // One replaces it; whoever waited for that finds another file there.
    if (auto locked = wait_for_lock(file.get(), RangeLock::exclusive); !locked) {
      return std::unexpected(locked.error());
    }
    if (!is_still_at(file.get(), path)) continue;
    if (auto made = put_empty(path, mode, true); !made) return std::unexpected(made.error());
    replaced = true;
  }
  return fail(ErrorCode::corrupt, "{} is damaged again and again. Remove it.", path);
}

Result<StatisticsView> Statistics::read(const std::string& path) {
  const Descriptor file = open_file(path, O_RDONLY);
  if (!file) {
    if (errno == ENOENT) return fail(ErrorCode::not_found, "there are no statistics at {}.", path);
    return std::unexpected(system_error(errno, fmt::format("open {}", path)));
  }
  const Mapped mapped = map(file.get(), false);
  if (mapped.memory == nullptr) {
    return fail(ErrorCode::corrupt,
                "the statistics in {} are damaged. The next write begins them anew.", path);
  }
  const Statistics statistics(*mapped.memory);
  return statistics.view();
}

Statistics::~Statistics() {
  ::munmap(static_cast<void*>(memory_), sizeof(Memory));
}

void Statistics::record(Timed operation, std::chrono::nanoseconds took) {
  const auto nanoseconds = static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0));
  Operation& of = memory_->operations[static_cast<std::size_t>(operation)];
  shared(of.count).fetch_add(1, kRelaxed);
  shared(of.buckets[bucket_of(nanoseconds)]).fetch_add(1, kRelaxed);
  shared(of.total).fetch_add(nanoseconds, kRelaxed);
  std::uint64_t longest = shared(of.longest).load(kRelaxed);
  while (longest < nanoseconds &&
         !shared(of.longest).compare_exchange_weak(longest, nanoseconds, kRelaxed)) {
  }
  const std::uint64_t number = shared(memory_->head).fetch_add(1, kRelaxed);
  Record& record = memory_->records[number % most_recorded];
  const std::uint64_t tag = number & kTagMask;
  shared(record.took).store((nanoseconds / 100) << kTagBits | tag, kRelaxed);
  shared(record.what)
      .store(static_cast<std::uint64_t>(now_milliseconds()) << 20 |
                 static_cast<std::uint64_t>(operation) << kTagBits | tag,
             std::memory_order_release);
}

void Statistics::add(Counter counter, std::uint64_t times) {
  shared(memory_->counters[static_cast<std::size_t>(counter)]).fetch_add(times, kRelaxed);
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
      Hit& place = memory_->hits[(first + probe) % hit_places];
      std::uint64_t word = shared(place.word).load(kRelaxed);
      // Free, or the same entry, or one that had this id before.
      while (word == 0 || word >> (kTimesBits + kCheckBits) == id) {
        const bool same = word >> kTimesBits == who;
        const std::uint64_t times = same ? std::min((word & kTimesMask) + 1, kTimesMask) : 1;
        if (shared(place.word).compare_exchange_weak(word, who << kTimesBits | times, kRelaxed)) {
          shared(place.last).store(last, kRelaxed);
          return;
        }
      }
    }
  }
  add(Counter::lost_hits);
}

namespace {

// What a place holds, which is free then.
Statistics::Hits take(Hit& place, std::uint64_t word) {
  Statistics::Hits hits;
  // What is counted between the two goes with it.
  while (word != 0 && !shared(place.word).compare_exchange_weak(word, 0, kRelaxed)) {
  }
  hits.id = word >> (kTimesBits + kCheckBits);
  hits.check = static_cast<std::uint32_t>(word >> kTimesBits & kCheckMask);
  hits.times = word & kTimesMask;
  hits.last = time_of(shared(place.last).load(kRelaxed));
  return hits;
}

}  // namespace

std::optional<Statistics::Hits> Statistics::take_hits(std::uint64_t id) {
  std::optional<Hits> all;
  const std::size_t first = first_place(id);
  for (std::size_t probe = 0; probe < kProbes; ++probe) {
    Hit& place = memory_->hits[(first + probe) % hit_places];
    const std::uint64_t word = shared(place.word).load(kRelaxed);
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
  const std::uint64_t from = shared(memory_->next_place).fetch_add(places, kRelaxed);
  for (std::size_t i = 0; i < places && taken.size() < most; ++i) {
    Hit& place = memory_->hits[(from + i) % hit_places];
    const std::uint64_t word = shared(place.word).load(kRelaxed);
    if (word == 0) continue;
    const Hits hits = take(place, word);
    if (hits.id != 0) taken.push_back(hits);
  }
  return taken;
}

StatisticsView Statistics::view() const {
  StatisticsView view;
  view.since = time_of(shared(memory_->since).load(kRelaxed));
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    view.counters[i] = shared(memory_->counters[i]).load(kRelaxed);
  }
  for (std::size_t i = 0; i < kTimedCount; ++i) {
    Operation& operation = memory_->operations[i];
    if (shared(operation.count).load(kRelaxed) > 0) {
      view.timings.push_back(timing_of(operation, static_cast<Timed>(i)));
    }
  }
  const std::uint64_t end = shared(memory_->head).load(kRelaxed);
  for (std::uint64_t number = end - std::min<std::uint64_t>(end, most_recorded); number < end;
       ++number) {
    Record& record = memory_->records[number % most_recorded];
    const std::uint64_t what = shared(record.what).load(std::memory_order_acquire);
    const std::uint64_t took = shared(record.took).load(kRelaxed);
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
  for (Operation& operation : memory_->operations) {
    shared(operation.count).store(0, kRelaxed);
    shared(operation.total).store(0, kRelaxed);
    shared(operation.longest).store(0, kRelaxed);
    for (std::uint64_t& bucket : operation.buckets) shared(bucket).store(0, kRelaxed);
  }
  for (std::uint64_t& counter : memory_->counters) shared(counter).store(0, kRelaxed);
  for (Record& record : memory_->records) {
    shared(record.what).store(0, kRelaxed);
    shared(record.took).store(0, kRelaxed);
  }
  shared(memory_->head).store(0, kRelaxed);
  shared(memory_->since).store(now_milliseconds(), kRelaxed);
}

}  // namespace sluice::localcache
