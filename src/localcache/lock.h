// Lock: a name that processes take turns with.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "localcache/location.h"

namespace sluice::localcache {

enum class LockMode : std::uint8_t {
  exclusive,  // nobody else holds it
  shared,     // only others that share it hold it
};

// How one waits for a lock (LOCK_BACKOFF_STRATEGY).
enum class LockWait : std::uint8_t {
  kernel,       // the kernel wakes who is next; the default
  exponential,  // asks again after 1, 2, 4, … ms, a second at most
  linear,       // asks again after 10, 20, 30, … ms, 200 ms at most
};
// "kernel", "exponential", "linear".
Result<LockWait> parse_lock_wait(std::string_view text);

struct LockOptions {
  LockMode mode = LockMode::exclusive;
  LockWait wait = LockWait::kernel;
  // None: as long as it takes. Zero: only if it is free.
  std::optional<std::chrono::milliseconds> timeout = std::chrono::seconds(30);
  // What the holder is doing, for those who wait: its command line.
  std::string command;
  // Takes the lock by making a file that nobody else can make, as it is done where the file system
  // has no open-file-description locks; for tests.
  bool without_kernel_locks = false;
};

// Who holds a lock.
struct LockHolder {
  std::int64_t pid = 0;
  std::string host;
  std::string command;
  std::chrono::system_clock::time_point since;
};

// Holds a lock of one namespace while it lives. The kernel lets go when the process dies, however
// it dies, and then the next in the queue has it at once: exclusive holders get it in the order in
// which they came, and so do those who share it among them, so nobody starves.
//
// A program that the holder starts does not hold it (the descriptor is closed on exec). A forked
// child that starts none keeps it from being free when the holder is killed, not when it lets go.
// Two Locks exclude each other within a process, too.
//
// Where the file system has no such locks, a file beside stands for the lock, without a queue; one
// whose holder ran on this machine and is dead is taken over.
class Lock {
 public:
  // `timeout` when it was not to be had in time: the message names the holder.
  static Result<Lock> take(const Location& location, std::string_view name,
                           const LockOptions& options = {});
  Lock(Lock&&) noexcept;
  Lock& operator=(Lock&&) noexcept;
  ~Lock();

 private:
  struct State;
  explicit Lock(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Who holds the lock at this moment; nothing if it is free, or if its holder has not said so yet.
// Of several that share it, one. Where a group shares the cache, anybody in it may say anything.
Result<std::optional<LockHolder>> lock_holder(const Location& location, std::string_view name);

// The process of this user, on this machine, that holds the lock and says that it does so for this
// command; nothing if there is none. That it does hold it has been seen in the kernel's account of
// its open files. Takes milliseconds.
Result<std::optional<pid_t>> process_with_lock(const Location& location, std::string_view name,
                                               std::string_view command);

}  // namespace sluice::localcache
