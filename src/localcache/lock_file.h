// The files that locks are made of.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "localcache/files.h"
#include "localcache/lock.h"

namespace sluice::localcache {

// What a holder says of itself, NUL between the parts and at the end: pid, start of the process (of
// /proc/PID/stat, since pids come again), host, Unix seconds, command. At most kHolderBytes.
inline constexpr std::size_t kHolderBytes = 1000;
std::string format_holder(const LockHolder& holder, std::uint64_t process_start);
struct HolderRecord {
  LockHolder holder;
  std::uint64_t process_start = 0;
};
// Nothing: it does not say.
std::optional<HolderRecord> parse_holder(std::string_view bytes);

// This process as a holder.
HolderRecord this_holder(std::string_view command);
// Its process ran on this machine, and is gone.
bool is_dead(const HolderRecord& record);

// Where the files of the lock `name` are, without an ending.
std::string lock_path(const Location& location, std::string_view name);

// Sleeps between two tries, as a strategy says, but not beyond `give_up`. False: it is past.
class Pause {
 public:
  Pause(LockWait wait, std::optional<std::chrono::steady_clock::time_point> give_up)
      : wait_(wait), give_up_(give_up) {}
  bool sleep();

 private:
  LockWait wait_;
  std::optional<std::chrono::steady_clock::time_point> give_up_;
  int times_ = 0;
};

// A place in the queue of a lock, by the kernel's locks on ranges of one file:
//
//   0  "SLCLOCK1"    8  the number of the next ticket    16  the holder, kHolderBytes of it
//   16 + kHolderBytes  of a memoized command: its mark (see memo.cc)
//
// Byte 0 is locked, for some microseconds, by who takes a ticket. Ticket n is a lock on byte
// 2^40 + n: exclusive or shared, as the lock is wanted. Whoever holds ticket n has the lock as soon
// as nobody holds an earlier ticket that excludes it. A ticket is gone when it is given back, or
// when its process is: the kernel sees to that.
class Ticket {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // `unsupported`: the file system has no such locks. `timeout`: others were taking theirs until
  // `give_up`.
  static Result<Ticket> take(const std::string& path, unsigned mode, LockMode how,
                             std::optional<TimePoint> give_up);
  Ticket(Ticket&&) noexcept = default;
  Ticket& operator=(Ticket&&) noexcept;
  ~Ticket();

  // Whether it is this one's turn.
  [[nodiscard]] Result<bool> is_my_turn() const;
  // Waits in the kernel until it is. False: it was not by `give_up`.
  Result<bool> wait(std::optional<TimePoint> give_up);
  // Says who holds it.
  Result<> sign(std::string_view command);
  // Who holds it or will hold it next, as far as they said so.
  [[nodiscard]] std::optional<HolderRecord> holder() const;

 private:
  Ticket() = default;
  void give_back();

  std::string path_;
  LockMode how_ = LockMode::exclusive;
  Descriptor file_;
  std::uint64_t number_ = 0;
  bool signed_ = false;
};

// Who holds the lock whose file is at `path`.
Result<std::optional<LockHolder>> holder_of(const std::string& path);

// Deletes the file of a lock that nobody holds or waits for.
void remove_if_unused(const std::string& path);
// The same for all of them in a folder: holders that were killed leave theirs. An error if the
// folder is none, but a symbolic link.
Result<> remove_unused_locks(const std::string& folder);

// A lock where the kernel has none: a file that only one can make. Nobody queues.
class HeldFile {
 public:
  // Nothing: somebody else has it.
  static Result<std::optional<HeldFile>> make(const std::string& path, unsigned mode,
                                              std::string_view command);
  HeldFile(HeldFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  HeldFile& operator=(HeldFile&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~HeldFile();
  static std::optional<HolderRecord> holder(const std::string& path);

 private:
  explicit HeldFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace sluice::localcache
