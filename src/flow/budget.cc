#include "flow/budget.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>
#include <thread>

#include "base/descriptor.h"
#include "io/boot.h"

namespace sluice::flow {

// Processes of different versions share it: a change of the layout changes the file's name.
struct Budget::Memory {
  std::uint64_t magic;
  std::array<char, 40> boot_id;
  std::int64_t closed_until;  // nanoseconds of the steady clock
  // Requests (30 bits) and milliseconds (34 bits) in one word, so that it is never torn; 0: none.
  std::array<std::uint64_t, Quotas::most> quotas;
  std::int64_t quotas_told;                           // when, in nanoseconds of the steady clock
  std::array<std::int64_t, Budget::buckets> full_at;  // the same
  SendLog::Memory sends;
};

namespace {

constexpr std::uint64_t magic = 0x3145'4349'554c'5324;  // "$SLUICE1"
constexpr std::string_view file_prefix = "budget-2-";

// A service may close the gate for an hour (http::longest_told_pause).
constexpr Duration longest_closed = std::chrono::hours(2);

constexpr unsigned window_bits = 34;

std::uint64_t packed(const Quota& quota) {
  const auto window = std::chrono::ceil<std::chrono::milliseconds>(quota.window).count();
  if (quota.requests == 0 || quota.requests >= std::size_t{1} << (64 - window_bits) ||
      window <= 0 || window >= std::int64_t{1} << window_bits) {
    return 0;
  }
  return std::uint64_t{quota.requests} << window_bits | static_cast<std::uint64_t>(window);
}

std::optional<Quota> unpacked(std::uint64_t word) {
  if (word == 0) return std::nullopt;
  const std::uint64_t window = word & ((std::uint64_t{1} << window_bits) - 1);
  return Quota{.requests = static_cast<std::size_t>(word >> window_bits),
               .window = std::chrono::milliseconds(window)};
}

// Without an id, a file from before a start shows by the times in it.
std::array<char, 40> this_boot() {
  std::array<char, 40> id{};
  io::boot_id().copy(id.data(), id.size() - 1);
  return id;
}

std::unexpected<Error> unusable(const std::string& what, std::string_view reason) {
  return fail(ErrorCode::io, "{} {}", what, reason);
}

std::unexpected<Error> failed(std::string_view doing, const std::string& what) {
  return std::unexpected(system_error(errno, fmt::format("{} {}", doing, what)));
}

// That it is of the right kind, belongs to this user, and nobody else has access.
Result<> check_private(int file, mode_t kind, const std::string& name) {
  struct stat status{};
  if (::fstat(file, &status) != 0) return failed("look at", name);
  if ((status.st_mode & S_IFMT) != kind) return unusable(name, "is of the wrong kind");
  if (status.st_uid != ::geteuid()) return unusable(name, "belongs to somebody else");
  if ((status.st_mode & 077) != 0) return unusable(name, "is open to others");
  return {};
}

std::string file_name(std::string_view key) {
  const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  return fmt::format("{}{:016x}{:016x}", file_prefix, hash.high64, hash.low64);
}

Budget::Memory* map(int file) {
  const int flags = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void* const at = ::mmap(nullptr, sizeof(Budget::Memory), PROT_READ | PROT_WRITE, flags, file, 0);
  return at == MAP_FAILED ? nullptr : static_cast<Budget::Memory*>(at);
}

bool is_valid(Budget::Memory& memory, const std::array<char, 40>& boot) {
  if (std::atomic_ref(memory.magic).load() != magic || memory.boot_id != boot) return false;
  const std::int64_t closed = std::atomic_ref(memory.closed_until).load();
  const TimePoint now = std::chrono::steady_clock::now();
  const auto is_near = [&](std::int64_t& full_at) {
    const std::int64_t when = std::atomic_ref(full_at).load();
    return when >= 0 && TimePoint(Duration(when)) <= now + longest_closed;
  };
  return closed >= 0 && TimePoint(Duration(closed)) <= now + longest_closed &&
         std::ranges::all_of(memory.full_at, is_near) &&
         std::atomic_ref(memory.quotas_told).load() <=
             (now + std::chrono::seconds(1)).time_since_epoch().count() &&
         SendLog::is_plausible(memory.sends);
}

// In place, so that all who have it mapped go on sharing it. The magic comes last.
void begin(Budget::Memory& memory, const std::array<char, 40>& boot) {
  std::atomic_ref(memory.magic).store(0);
  std::memset(static_cast<void*>(&memory), 0, sizeof memory);
  memory.boot_id = boot;
  std::atomic_ref(memory.magic).store(magic);
}

// Held while the file is made: that takes less than a millisecond. The kernel takes it from a
// killed process; a stopped one is not waited for. Closing the file would not give it back, since
// the mapping keeps the open file alive.
class Lock {
 public:
  explicit Lock(int file) : file_(file) {}
  ~Lock() {
    if (held_) ::flock(file_, LOCK_UN);
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  // False: somebody else holds it for a second now.
  bool take() {
    for (int i = 0; i < 100 && !held_; ++i) {
      if (i > 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      held_ = ::flock(file_, LOCK_EX | LOCK_NB) == 0;
    }
    return held_;
  }

 private:
  int file_;
  bool held_ = false;
};

// Nothing if the file has the right size.
Result<> give_size(int file, const std::string& name) {
  struct stat status{};
  if (::fstat(file, &status) != 0) return failed("look at", name);
  if (status.st_size == static_cast<off_t>(sizeof(Budget::Memory))) return {};
  if (::ftruncate(file, 0) != 0) return failed("make", name);
  // Really there, not a hole: writing into a hole of a mapped file on a full disk kills.
  errno = ::posix_fallocate(file, 0, sizeof(Budget::Memory));
  if (errno != 0) return failed("make", name);
  return {};
}

bool has_size(int file) {
  struct stat status{};
  return ::fstat(file, &status) == 0 &&
         status.st_size == static_cast<off_t>(sizeof(Budget::Memory));
}

}  // namespace

std::string Budget::folder(const std::string& runtime, const std::string& temporary) {
  struct stat status{};
  if (runtime.starts_with('/') && ::stat(runtime.c_str(), &status) == 0 &&
      status.st_uid == ::geteuid()) {
    return runtime + "/sluice";
  }
  return fmt::format("{}/sluice-{}", temporary.starts_with('/') ? temporary : "/tmp", ::geteuid());
}

Budget::Budget(Memory& memory) : memory_(&memory), log_(memory.sends) {}

Budget::Budget()
    : Budget([]() -> Memory& {
        Memory* const memory = map(-1);
        if (memory == nullptr) throw std::bad_alloc();
        return *memory;
      }()) {}

Budget::~Budget() {
  ::munmap(static_cast<void*>(memory_), sizeof(Memory));
}

Result<std::unique_ptr<Budget>> Budget::share(const std::string& folder, std::string_view key) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return failed("make", folder);
  const Descriptor directory(
      ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (directory.get() < 0) return failed("open", folder);
  if (auto checked = check_private(directory.get(), S_IFDIR, folder); !checked) {
    return std::unexpected(std::move(checked.error()));
  }
  const std::string name = file_name(key);
  const std::string path = folder + "/" + name;
  const Descriptor file(::openat(directory.get(), name.c_str(),
                                 O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (file.get() < 0) return failed("open", path);
  if (auto checked = check_private(file.get(), S_IFREG, path); !checked) {
    return std::unexpected(std::move(checked.error()));
  }

  const std::array<char, 40> boot = this_boot();
  Lock lock(file.get());
  if (!has_size(file.get())) {
    if (!lock.take()) return unusable(path, "is held by another process");
    if (auto made = give_size(file.get(), path); !made) {
      return std::unexpected(std::move(made.error()));
    }
  }
  Memory* const memory = map(file.get());
  if (memory == nullptr) return failed("map", path);
  std::unique_ptr<Budget> budget(new Budget(*memory));
  if (!is_valid(*memory, boot)) {
    if (!lock.take()) return unusable(path, "is held by another process");
    // Somebody else may have been faster.
    if (!is_valid(*memory, boot)) begin(*memory, boot);
  }
  return budget;
}

TimePoint Budget::closed_until() const {
  return TimePoint(Duration(std::atomic_ref(memory_->closed_until).load()));
}

void Budget::close_until(TimePoint when) {
  const std::atomic_ref closed(memory_->closed_until);
  const std::int64_t wanted = when.time_since_epoch().count();
  std::int64_t until = closed.load();
  while (until < wanted && !closed.compare_exchange_weak(until, wanted)) {
  }
}

Quotas Budget::learned(TimePoint now) const {
  Quotas quotas;
  const TimePoint told{Duration(std::atomic_ref(memory_->quotas_told).load())};
  if (now - told > learned_lasts) return quotas;
  for (std::uint64_t& word : memory_->quotas) {
    if (const auto quota = unpacked(std::atomic_ref(word).load())) quotas.add(*quota);
  }
  return quotas;
}

void Budget::learn(const Quotas& quotas, TimePoint now) {
  // The time first: quotas without one would not count.
  std::atomic_ref(memory_->quotas_told).store(now.time_since_epoch().count());
  for (std::size_t i = 0; i < Quotas::most; ++i) {
    const std::uint64_t word = i < quotas.size() ? packed(quotas[i]) : 0;
    std::atomic_ref(memory_->quotas[i]).store(word);
  }
}

TimePoint Budget::bucket_full_at(std::size_t bucket) const {
  return TimePoint(Duration(std::atomic_ref(memory_->full_at.at(bucket)).load()));
}

bool Budget::set_bucket(std::size_t bucket, TimePoint& expected, TimePoint full_at) {
  std::int64_t was = expected.time_since_epoch().count();
  const bool set = std::atomic_ref(memory_->full_at.at(bucket))
                       .compare_exchange_strong(was, full_at.time_since_epoch().count());
  expected = TimePoint(Duration(was));
  return set;
}

}  // namespace sluice::flow
