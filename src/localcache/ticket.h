// Ticket: a place in the queue of a lock.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "localcache/holder_record.h"
#include "localcache/lock_place.h"

namespace sluice::localcache {

// A place in the queue of a lock, by the kernel's locks on ranges of one file:
//
//   0  "SLCLOCK2"    8  the number of the next ticket
//   16  of a memoized command: its mark (see memo.cc)
//   1024 * (1 + n % kSlots)  the number n of a ticket, and its holder, kHolderBytes of it
//
// Byte 0 is locked, for some microseconds, by who takes a ticket. Ticket n is a lock on byte
// 2^40 + n: exclusive or shared, as the lock is wanted. Whoever holds ticket n has the lock as soon
// as nobody holds an earlier ticket that excludes it. A ticket is gone when it is given back, or
// when its process is: the kernel sees to that. So whoever is named as a holder is one whose ticket
// there still is.
class Ticket {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // `unsupported`: the file system has no such locks. `timeout`: others were taking theirs until
  // `give_up`.
  static Result<Ticket> take(std::shared_ptr<const LockPlace> place, LockMode how,
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
  // Who holds it or will hold it before this one, as far as they said so.
  [[nodiscard]] std::optional<HolderRecord> holder() const;

 private:
  Ticket() = default;
  void give_back();

  std::shared_ptr<const LockPlace> place_;
  LockMode how_ = LockMode::exclusive;
  Descriptor file_;
  std::uint64_t number_ = 0;
  bool signed_ = false;
};

// Who holds the lock of this place.
Result<std::optional<LockHolder>> holder_of(const LockPlace& place);
// As process_with_lock.
Result<std::optional<pid_t>> process_with_ticket(const LockPlace& place, std::string_view command);

// The process that all others of this place wait for, whether it has said who it is or not: one
// that was stopped while it waited has its turn and does not know. Nothing if nobody is there, or
// if the process is hidden from this one. Takes milliseconds.
std::optional<pid_t> process_with_turn(const LockPlace& place);

// Deletes the files of locks that nobody holds or waits for, in a folder of locks: holders that
// were killed leave theirs. An error if the folder is none, but a symbolic link.
Result<> remove_unused_locks(const std::string& folder);

}  // namespace sluice::localcache
