#include "localcache/ticket.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "localcache/process.h"

namespace sluice::localcache {

namespace {

constexpr std::string_view kMagic = "SLCLOCK2";
constexpr std::int64_t kDoor = 0;
constexpr std::int64_t kTickets = std::int64_t{1} << 40;
constexpr std::uint64_t kMostTickets = std::uint64_t{1} << 61;
// Of two holders that share a lock and a slot, the later one is named.
constexpr std::uint64_t kSlots = 64;
constexpr std::uint64_t kSlotBytes = 1024;

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

bool is_still_at(int file, int folder, const std::string& name) {
  struct stat ours{};
  struct stat there{};
  return ::fstat(file, &ours) == 0 &&
         ::fstatat(folder, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
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
  try {
    std::thread([wait, kind, first, length] {
      auto got = wait_for_lock(wait->file.get(), kind, first, length);
      wait->file.reset();
      const std::lock_guard guard(wait->mutex);
      wait->result = std::move(got);
      wait->ended.notify_one();
    }).detach();
  } catch (const std::system_error&) {
    // The user may have no more threads (`ulimit -u`). The place in the queue is kept, so the
    // pauses are the short ones: those behind wait for them, too.
    Pause pause(LockWait::linear, give_up);
    for (;;) {
      const auto got = try_lock(wait->file.get(), kind, first, length);
      if (!got) return std::unexpected(got.error());
      if (*got || !pause.sleep()) return *got;
    }
  }
  std::unique_lock guard(wait->mutex);
  if (!wait->ended.wait_until(guard, *give_up, [&] { return wait->result.has_value(); })) {
    return false;
  }
  if (!*wait->result) return std::unexpected(wait->result->error());
  return true;
}

std::uint64_t slot_of(std::uint64_t ticket) {
  return kSlotBytes * (1 + ticket % kSlots);
}

// What the holder of a ticket has said of itself.
std::optional<HolderRecord> read_slot(int file, std::uint64_t ticket) {
  std::array<char, sizeof ticket + kHolderBytes> bytes{};
  const ssize_t got =
      ::pread(file, bytes.data(), bytes.size(), static_cast<off_t>(slot_of(ticket)));
  if (got < static_cast<ssize_t>(sizeof ticket) ||
      std::memcmp(bytes.data(), &ticket, sizeof ticket) != 0) {
    return std::nullopt;
  }
  return parse_holder(
      std::string_view(bytes.data(), static_cast<std::size_t>(got)).substr(sizeof ticket));
}

Result<> write_slot(int file, const std::string& path, std::uint64_t ticket,
                    std::string_view holder) {
  std::string bytes(sizeof ticket + kHolderBytes, '\0');
  std::memcpy(bytes.data(), &ticket, sizeof ticket);
  std::ranges::copy(holder.substr(0, kHolderBytes),
                    bytes.begin() + static_cast<std::ptrdiff_t>(sizeof ticket));
  return write_all_at(file, path, bytes, slot_of(ticket));
}

// One of those who have a ticket below `end` and said who they are: only holders do. With `wanted`,
// one that this is true of.
Result<std::optional<HolderRecord>> find_holder(
    int file, std::uint64_t end,
    const std::function<bool(const HolderRecord&, std::uint64_t ticket)>& wanted = nullptr) {
  // A bound for a lock that changes hands all the time.
  constexpr int kMostLooks = 1000;
  // The kernel names any lock that is in a range, so both sides of it are left to be looked at.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges = {{0, end}};
  for (int look = 0; look < kMostLooks && !ranges.empty(); ++look) {
    const auto [from, to] = ranges.back();
    ranges.pop_back();
    if (from >= to) continue;
    const auto held = in_the_way(file, F_WRLCK, kTickets + static_cast<std::int64_t>(from),
                                 static_cast<std::int64_t>(to - from));
    if (!held) return std::unexpected(held.error());
    if (!*held) continue;
    const auto ticket = static_cast<std::uint64_t>(
        std::max<std::int64_t>((*held)->l_start - kTickets, static_cast<std::int64_t>(from)));
    // Somebody whose wait is over has all tickets before its own for a moment.
    if ((*held)->l_len == 1) {
      auto record = read_slot(file, ticket);
      if (record && !is_dead(*record) && (!wanted || wanted(*record, ticket))) return record;
    }
    ranges.emplace_back(ticket + 1, to);
    ranges.emplace_back(from, ticket);
  }
  return std::nullopt;
}

// `name` is in the folder.
void remove_if_unused(int folder, const std::string& name) {
  // A pipe in its place is not waited for.
  const Descriptor file = open_file_at(folder, name, O_RDWR | O_NONBLOCK);
  if (!file) return;
  const auto through = try_lock(file.get(), RangeLock::exclusive, kDoor, 1);
  if (!through || !*through) return;
  const auto used = in_the_way(file.get(), F_WRLCK, kTickets, 0);
  struct stat status{};
  if (used && !*used && ::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) &&
      is_still_at(file.get(), folder, name)) {
    ::unlinkat(folder, name.c_str(), 0);
  }
}

}  // namespace

Ticket& Ticket::operator=(Ticket&& other) noexcept {
  std::swap(place_, other.place_);
  std::swap(how_, other.how_);
  std::swap(file_, other.file_);
  std::swap(number_, other.number_);
  std::swap(signed_, other.signed_);
  return *this;
}

Ticket::~Ticket() {
  if (file_) give_back();
}

Result<Ticket> Ticket::take(std::shared_ptr<const LockPlace> place, LockMode how,
                            std::optional<TimePoint> give_up) {
  Ticket ticket;
  const std::string& path = place->path;
  ticket.how_ = how;
  Pause pause(LockWait::exponential, give_up);
  for (;;) {
    Descriptor file = place->open(O_CREAT);
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
    if (!is_still_at(file.get(), place->folder.get(), place->name)) continue;

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
    ticket.place_ = std::move(place);
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
  signed_ = true;
  return write_slot(file_.get(), place_->path, number_,
                    format_holder(self.holder, self.process_start));
}

std::optional<HolderRecord> Ticket::holder() const {
  if (number_ == 0) return std::nullopt;
  return find_holder(file_.get(), number_).value_or(std::nullopt);
}

void Ticket::give_back() {
  // A later holder may have taken the slot.
  if (signed_ && read_slot(file_.get(), number_)) {
    static_cast<void>(write_slot(file_.get(), place_->path, number_, {}));
  }
  // A child that was forked meanwhile has the same opening; closing this one would not do.
  static_cast<void>(
      try_lock(file_.get(), RangeLock::none, kTickets + static_cast<std::int64_t>(number_), 1));
  file_.reset();
  remove_if_unused(place_->folder.get(), place_->name);
}

Result<std::optional<LockHolder>> holder_of(const LockPlace& place) {
  const Descriptor file = place.open(0);
  if (!file) {
    if (errno == ENOENT) return std::nullopt;
    return std::unexpected(system_error(errno, fmt::format("open {}", place.path)));
  }
  const auto record = find_holder(file.get(), kMostTickets);
  if (!record) return std::unexpected(record.error());
  if (!*record) return std::nullopt;
  return (*record)->holder;
}

Result<std::optional<pid_t>> process_with_ticket(const LockPlace& place, std::string_view command) {
  const Descriptor file = place.open(0);
  if (!file) {
    if (errno == ENOENT) return std::nullopt;
    return std::unexpected(system_error(errno, fmt::format("open {}", place.path)));
  }
  const auto record =
      find_holder(file.get(), kMostTickets, [&](const HolderRecord& holder, std::uint64_t ticket) {
        return holder.holder.command == command && is_own_process(holder) &&
               has_lock(static_cast<pid_t>(holder.holder.pid), file.get(),
                        kTickets + static_cast<std::int64_t>(ticket));
      });
  if (!record) return std::unexpected(record.error());
  if (!*record) return std::nullopt;
  return static_cast<pid_t>((*record)->holder.pid);
}

std::optional<pid_t> process_with_turn(const LockPlace& place) {
  const Descriptor file = place.open(0);
  if (!file) return std::nullopt;
  // The first byte that is locked: the door, or the first ticket. The kernel names any lock that is
  // in a range, so what lies before it is left to be looked at.
  std::optional<std::int64_t> first;
  std::int64_t length = 0;  // to the end
  do {
    const auto held = in_the_way(file.get(), F_WRLCK, kDoor, length);
    if (!held || !*held) break;
    first = length = (*held)->l_start;
  } while (length > 0);
  if (!first) return std::nullopt;
  return find_lock_owner(file.get(), *first);
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
      remove_if_unused(::dirfd(entries.get()), std::string(name));
    }
  }
  return {};
}

}  // namespace sluice::localcache
