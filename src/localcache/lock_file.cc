#include "localcache/lock_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>
#include <thread>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::localcache {

namespace {

constexpr std::string_view kMagic = "SLCLOCK1";
constexpr std::uint64_t kHolderAt = 16;
constexpr std::int64_t kDoor = 0;
constexpr std::int64_t kTickets = std::int64_t{1} << 40;
constexpr std::uint64_t kMostTickets = std::uint64_t{1} << 61;

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "?";
  return name.data();
}

// When a process began, in ticks since the machine did; 0: there is no such process.
std::uint64_t start_of(std::int64_t pid) {
  const auto stat = read_file(fmt::format("/proc/{}/stat", pid), 4096);
  if (!stat) return 0;
  // proc(5): the 22nd field; the second one is a name in parentheses that may hold anything.
  std::size_t at = stat->rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat->find(' ', at + 1);
  std::uint64_t start = 0;
  if (at != std::string::npos) {
    std::from_chars(stat->data() + at + 1, stat->data() + stat->size(), start);
  }
  return start;
}

struct flock range(short type, std::int64_t first, std::int64_t length) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = first;
  lock.l_len = length;
  return lock;
}

// The first lock that keeps this one from being had, or nothing.
Result<std::optional<struct flock>> in_the_way(int file, short type, std::int64_t first,
                                               std::int64_t length) {
  struct flock lock = range(type, first, length);
  while (::fcntl(file, F_OFD_GETLK, &lock) != 0) {
    if (errno != EINTR) return std::unexpected(system_error(errno, "look at a lock"));
  }
  if (lock.l_type == F_UNLCK) return std::nullopt;
  return lock;
}

bool is_still_at(int file, const std::string& path) {
  struct stat ours{};
  struct stat there{};
  return ::fstat(file, &ours) == 0 && ::stat(path.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

// The same file, opened once more: locks of one opening do not wait for each other.
Descriptor reopen(int file) {
  return Descriptor(::open(fmt::format("/proc/self/fd/{}", file).c_str(), O_RDWR | O_CLOEXEC));
}

// Waits in the kernel for a lock, which is dropped again when it is there. The kernel knows no end
// to such a wait, so one that has an end is left to a thread; when it is given up, the thread stays
// until the lock would have come, or the process ends.
Result<bool> wait_in_kernel(int file, RangeLock kind, std::int64_t first, std::int64_t length,
                            std::optional<Ticket::TimePoint> give_up) {
  struct Wait {
    Descriptor file;
    std::mutex mutex;
    std::condition_variable ended;
    std::optional<Result<>> result;
  };
  auto wait = std::make_shared<Wait>();
  wait->file = reopen(file);
  if (!wait->file) return std::unexpected(system_error(errno, "open a lock"));
  if (!give_up) {
    if (auto got = wait_for_lock(wait->file.get(), kind, first, length); !got) {
      return std::unexpected(got.error());
    }
    return true;
  }
  std::thread([wait, kind, first, length] {
    auto got = wait_for_lock(wait->file.get(), kind, first, length);
    wait->file.reset();
    const std::lock_guard guard(wait->mutex);
    wait->result = std::move(got);
    wait->ended.notify_one();
  }).detach();
  std::unique_lock guard(wait->mutex);
  if (!wait->ended.wait_until(guard, *give_up, [&] { return wait->result.has_value(); })) {
    return false;
  }
  if (!*wait->result) return std::unexpected(wait->result->error());
  return true;
}

std::optional<HolderRecord> read_holder(int file) {
  std::array<char, kHolderBytes> bytes{};
  const ssize_t got = ::pread(file, bytes.data(), bytes.size(), kHolderAt);
  if (got <= 0) return std::nullopt;
  return parse_holder({bytes.data(), static_cast<std::size_t>(got)});
}

}  // namespace

std::string format_holder(const LockHolder& holder, std::uint64_t process_start) {
  // A NUL cannot be in the parts, since they end with one.
  const auto clean = [](std::string_view text, std::size_t most) {
    std::string out(text.substr(0, most));
    std::ranges::replace(out, '\0', ' ');
    return out;
  };
  std::string bytes = fmt::format(
      "{}{}{}{}{}{}{}{}", holder.pid, '\0', process_start, '\0', clean(holder.host, 255), '\0',
      std::chrono::floor<std::chrono::seconds>(holder.since.time_since_epoch()).count(), '\0');
  bytes += clean(holder.command, kHolderBytes - bytes.size() - 1);
  bytes += '\0';
  return bytes;
}

std::optional<HolderRecord> parse_holder(std::string_view bytes) {
  std::array<std::string_view, 5> parts;
  for (std::string_view& part : parts) {
    const std::size_t end = bytes.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    part = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
  }
  const auto number = [](std::string_view text, auto& value) {
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    return read.ec == std::errc() && read.ptr == text.data() + text.size();
  };
  HolderRecord record;
  std::int64_t since = 0;
  // Until the year 2261, with which the clock's nanoseconds end.
  constexpr std::int64_t kLatest = 9'214'646'400;
  if (!number(parts[0], record.holder.pid) || record.holder.pid <= 0 ||
      !number(parts[1], record.process_start) || !number(parts[3], since) || since < 0 ||
      since > kLatest) {
    return std::nullopt;
  }
  record.holder.host = parts[2];
  record.holder.since = std::chrono::system_clock::time_point(std::chrono::seconds(since));
  record.holder.command = parts[4];
  return record;
}

HolderRecord this_holder(std::string_view command) {
  const std::int64_t pid = ::getpid();
  return {.holder = {.pid = pid,
                     .host = host_name(),
                     .command = std::string(command),
                     .since = std::chrono::system_clock::now()},
          .process_start = start_of(pid)};
}

bool is_dead(const HolderRecord& record) {
  if (record.holder.host != host_name()) return false;
  if (::kill(static_cast<pid_t>(record.holder.pid), 0) != 0 && errno == ESRCH) return true;
  const std::uint64_t start = start_of(record.holder.pid);
  return start != 0 && record.process_start != 0 && start != record.process_start;
}

std::string lock_path(const Location& location, std::string_view name) {
  constexpr std::size_t kLongest = 150;
  const bool is_plain =
      name.size() <= kLongest && !name.ends_with(".held") && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.' || c == ':' || c == '@';
      });
  if (is_plain) return fmt::format("{}/n-{}", location.locks(), name);
  const XXH128_hash_t hash = XXH3_128bits(name.data(), name.size());
  return fmt::format("{}/h-{:016x}{:016x}", location.locks(), hash.high64, hash.low64);
}

bool Pause::sleep() {
  using std::chrono::milliseconds;
  ++times_;
  const milliseconds pause =
      wait_ == LockWait::linear
          ? std::min(milliseconds(10) * times_, milliseconds(200))
          : std::min(milliseconds(1) * (1 << std::min(times_ - 1, 10)), milliseconds(1000));
  const auto now = std::chrono::steady_clock::now();
  if (give_up_ && now >= *give_up_) return false;
  std::this_thread::sleep_until(give_up_ ? std::min(now + pause, *give_up_) : now + pause);
  return true;
}

Ticket& Ticket::operator=(Ticket&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(how_, other.how_);
  std::swap(file_, other.file_);
  std::swap(number_, other.number_);
  std::swap(signed_, other.signed_);
  return *this;
}

Ticket::~Ticket() {
  if (file_) give_back();
}

Result<Ticket> Ticket::take(const std::string& path, unsigned mode, LockMode how,
                            std::optional<TimePoint> give_up) {
  Ticket ticket;
  ticket.path_ = path;
  ticket.how_ = how;
  Pause pause(LockWait::exponential, give_up);
  for (;;) {
    Descriptor file = open_file(path, O_RDWR | O_CREAT, mode);
    if (!file) return std::unexpected(system_error(errno, fmt::format("open {}", path)));
    auto through = try_lock(file.get(), RangeLock::exclusive, kDoor, 1);
    while (through && !*through) {
      // It is held for microseconds: only a process that was stopped in them makes others wait.
      std::this_thread::yield();
      through = try_lock(file.get(), RangeLock::exclusive, kDoor, 1);
      if (through && !*through && !pause.sleep()) {
        return fail(ErrorCode::timeout, "the lock {} was not free in time.", path);
      }
    }
    if (!through) return std::unexpected(through.error());
    // Whoever deleted the file held the door then.
    if (!is_still_at(file.get(), path)) continue;

    std::array<char, 16> head{};
    const ssize_t got = ::pread(file.get(), head.data(), head.size(), 0);
    std::uint64_t number = 0;
    if (got == static_cast<ssize_t>(head.size()) && std::string_view(head.data(), 8) == kMagic) {
      std::memcpy(&number, head.data() + 8, 8);
    }
    if (number >= kMostTickets) number = 0;
    // Whatever the file says: behind all that are there.
    for (;;) {
      const auto later =
          in_the_way(file.get(), F_WRLCK, kTickets + static_cast<std::int64_t>(number), 0);
      if (!later) return std::unexpected(later.error());
      if (!*later) break;
      number = static_cast<std::uint64_t>((*later)->l_start + std::max<off_t>((*later)->l_len, 1) -
                                          kTickets);
    }
    const auto own =
        try_lock(file.get(), how == LockMode::shared ? RangeLock::shared : RangeLock::exclusive,
                 kTickets + static_cast<std::int64_t>(number), 1);
    if (!own) return std::unexpected(own.error());
    const std::uint64_t next = number + 1;
    std::memcpy(head.data(), kMagic.data(), 8);
    std::memcpy(head.data() + 8, &next, 8);
    if (auto written = write_all_at(file.get(), path, {head.data(), head.size()}, 0); !written) {
      return std::unexpected(written.error());
    }
    if (auto opened = try_lock(file.get(), RangeLock::none, kDoor, 1); !opened) {
      return std::unexpected(opened.error());
    }
    ticket.file_ = std::move(file);
    ticket.number_ = number;
    return ticket;
  }
}

Result<bool> Ticket::is_my_turn() const {
  if (number_ == 0) return true;
  const auto before = in_the_way(file_.get(), how_ == LockMode::shared ? F_RDLCK : F_WRLCK,
                                 kTickets, static_cast<std::int64_t>(number_));
  if (!before) return std::unexpected(before.error());
  return !before->has_value();
}

Result<bool> Ticket::wait(std::optional<TimePoint> give_up) {
  auto turn = is_my_turn();
  if (!turn || *turn) return turn;
  if (give_up && std::chrono::steady_clock::now() >= *give_up) return false;
  return wait_in_kernel(file_.get(),
                        how_ == LockMode::shared ? RangeLock::shared : RangeLock::exclusive,
                        kTickets, static_cast<std::int64_t>(number_), give_up);
}

Result<> Ticket::sign(std::string_view command) {
  const HolderRecord self = this_holder(command);
  std::string bytes = format_holder(self.holder, self.process_start);
  bytes.resize(kHolderBytes, '\0');
  signed_ = true;
  return write_all_at(file_.get(), path_, bytes, kHolderAt);
}

std::optional<HolderRecord> Ticket::holder() const {
  return read_holder(file_.get());
}

void Ticket::give_back() {
  if (signed_ && how_ == LockMode::exclusive) {
    static_cast<void>(write_all_at(file_.get(), path_, std::string(kHolderBytes, '\0'), kHolderAt));
  }
  // A child that was forked meanwhile has the same opening; closing this one would not do.
  static_cast<void>(
      try_lock(file_.get(), RangeLock::none, kTickets + static_cast<std::int64_t>(number_), 1));
  file_.reset();
  remove_if_unused(path_);
}

Result<std::optional<LockHolder>> holder_of(const std::string& path) {
  const Descriptor file = open_file(path, O_RDWR);
  if (!file) {
    if (errno == ENOENT) return std::nullopt;
    return std::unexpected(system_error(errno, fmt::format("open {}", path)));
  }
  const auto held = in_the_way(file.get(), F_WRLCK, kTickets, 0);
  if (!held) return std::unexpected(held.error());
  if (!*held) return std::nullopt;
  const auto record = read_holder(file.get());
  // What somebody left who shared it, or was killed.
  if (!record || is_dead(*record)) return std::nullopt;
  return record->holder;
}

namespace {

// `name` is in the folder, or a path where the folder is AT_FDCWD.
void remove_if_unused_at(int folder, const std::string& name) {
  // A pipe in its place is not waited for.
  const Descriptor file = open_file_at(folder, name, O_RDWR | O_NONBLOCK);
  if (!file) return;
  const auto through = try_lock(file.get(), RangeLock::exclusive, kDoor, 1);
  if (!through || !*through) return;
  const auto used = in_the_way(file.get(), F_WRLCK, kTickets, 0);
  struct stat ours{};
  struct stat there{};
  if (used && !*used && ::fstat(file.get(), &ours) == 0 && S_ISREG(ours.st_mode) &&
      ::fstatat(folder, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
      ours.st_ino == there.st_ino && ours.st_dev == there.st_dev) {
    ::unlinkat(folder, name.c_str(), 0);
  }
}

}  // namespace

void remove_if_unused(const std::string& path) {
  remove_if_unused_at(AT_FDCWD, path);
}

Result<> remove_unused_locks(const std::string& folder) {
  auto opened = open_folder(folder);
  if (!opened) {
    if (opened.error().code == ErrorCode::not_found) return {};
    return std::unexpected(opened.error());
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(opened->get()), ::closedir);
  if (entries == nullptr) {
    return std::unexpected(system_error(errno, fmt::format("read {}", folder)));
  }
  opened->release();  // it is closed with `entries`
  while (const dirent* const entry = ::readdir(entries.get())) {
    const std::string_view name = entry->d_name;
    // Those of HeldFile are not for the kernel's locks; whoever wants one takes it over.
    if ((name.starts_with("n-") || name.starts_with("h-")) && !name.ends_with(".held")) {
      remove_if_unused_at(::dirfd(entries.get()), std::string(name));
    }
  }
  return {};
}

Result<std::optional<HeldFile>> HeldFile::make(const std::string& path, unsigned mode,
                                               std::string_view command) {
  // The record is complete when the file appears: it is written beside, and linked.
  const HolderRecord self = this_holder(command);
  const std::string temporary = path + ".new-" + random_name();
  {
    const Descriptor file = open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (!file) return std::unexpected(system_error(errno, fmt::format("make {}", temporary)));
    if (auto written =
            write_all(file.get(), temporary, format_holder(self.holder, self.process_start));
        !written) {
      ::unlink(temporary.c_str());
      return std::unexpected(written.error());
    }
  }
  int linked = ::link(temporary.c_str(), path.c_str());
  int reason = errno;
  if (linked != 0 && reason == EEXIST) {
    // One at a time judges whether the holder is dead, so that nobody removes the lock of whoever
    // took it over. Someone who died while judging is waited for no longer than this.
    constexpr std::time_t kLongestJudging = 10;
    const std::string judging = path + ".judging";
    struct stat status{};
    if (::stat(judging.c_str(), &status) == 0 &&
        std::time(nullptr) - status.st_mtime > kLongestJudging) {
      ::unlink(judging.c_str());
    }
    if (::link(temporary.c_str(), judging.c_str()) == 0) {
      if (const auto record = holder(path); record && is_dead(*record)) {
        ::unlink(path.c_str());
        linked = ::link(temporary.c_str(), path.c_str());
        reason = errno;
      }
      ::unlink(judging.c_str());
    }
  }
  ::unlink(temporary.c_str());
  if (linked == 0) return HeldFile(path);
  if (reason == EEXIST) return std::nullopt;
  return std::unexpected(system_error(reason, fmt::format("make {}", path)));
}

HeldFile::~HeldFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

std::optional<HolderRecord> HeldFile::holder(const std::string& path) {
  const auto bytes = read_file(path, 2 * kHolderBytes);
  return bytes ? parse_holder(*bytes) : std::nullopt;
}

}  // namespace sluice::localcache
