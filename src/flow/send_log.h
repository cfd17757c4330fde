// SendLog: when requests were sent, by all who spend one budget. Works on memory that processes
// share, without locks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "flow/quota.h"

namespace sluice::flow {

// The log of the last sends, numbered from 0 on. Send n is admitted when send n - limit lies a
// whole span back, so that no interval of the span's length holds more than `limit` sends. Sending
// takes two steps: `reserve` takes a number, `commit` writes its time; the request leaves after
// that.
//
// Why the promise holds, whatever the processes do meanwhile:
//  - Numbers are taken one by one (a compare-and-swap of `head`), each after a look at the entry
//    `limit` before it. So at the moment when n is taken, every entry up to n - limit was seen to
//    be a span old, or void.
//  - An entry is written by compare-and-swap. The first to write decides: the owner writes the
//    time, read after it took the number; somebody else, who has waited for it in vain, writes
//    "void", and then the owner must not send (`commit` fails) and takes another number.
//  - Of more than `limit` sends, two have numbers that are at least `limit` apart: m and n. Entry m
//    is not void, so n was taken a span after the time in entry m, and leaves later still.
// A process that keeps a smaller quota than others, or none, is counted by all; what it sends is up
// to its own.
//
// The service counts a request later than it was sent, but before it answers. So an entry is
// written as if it had been sent a little later (`slack`), and is set back to the time of the
// answer, if that comes sooner: what is counted at the service keeps the promise too, whatever
// delays there are up to the slack.
//
// Nobody waits for a process that was killed: a number whose time is missing after `patience` is
// void. What is killed after `commit` counts as sent.
//
// Objects on the same memory may belong to different processes or threads, each to one; all clocks
// are the machine's steady clock. Nothing here allocates or makes a system call.
class SendLog {
 public:
  // How many sends are remembered; a limit must be below it (see pace_of).
  static constexpr std::size_t entries = 16'384;
  // A process that runs takes less than a microsecond between `reserve` and `commit`.
  static constexpr Duration patience = std::chrono::milliseconds(1);

  // What is shared. All zero is an empty log. Accessed by atomic operations only.
  struct Memory {
    std::uint64_t head;  // the number of the next send
    // A lap (20 bits, from 1 on: which of the numbers that use this place) and a time (44 bits, in
    // units of 10 µs: five years of uptime); the time 0 means void.
    std::uint64_t sends[entries];
  };

  // `memory` must outlive the log.
  explicit SendLog(Memory& memory) : memory_(&memory) {}

  struct Place {
    std::optional<std::uint64_t> number;  // taken: `commit` it
    TimePoint open_at{};                  // if not: try again then
  };
  // Takes a number if one more request may be sent at `now` by each of these paces (at most
  // Quotas::most); without any, at once.
  Place reserve(std::span<const Pace> paces, TimePoint now);

  // Writes the time of a reserved send: `now`, read after `reserve` has returned, and the slack of
  // the pace. False: it took so long that the number was given up; nothing may be sent for it.
  [[nodiscard]] bool commit(std::uint64_t number, TimePoint now, Duration slack = {});

  // The service has answered at `now`, and counted the request before.
  void answered(std::uint64_t number, TimePoint now);

  // Whether the memory can be a log: no send in the future, and no more gaps than killed processes
  // leave. Reads the clock.
  [[nodiscard]] static bool is_plausible(Memory& memory);

 private:
  // A number whose time is missing, and since when we wait for it.
  struct Missing {
    std::optional<std::uint64_t> number;
    TimePoint since{};
  };

  // When send `number` may leave by this pace; nothing: look again, others went on meanwhile.
  std::optional<TimePoint> opening(const Pace& pace, std::uint64_t number, TimePoint now,
                                   Missing& missing);

  Memory* memory_;
  // One for each pace: were there one for all, two that miss numbers would begin to wait in turn.
  std::array<Missing, Quotas::most> missing_;
};

}  // namespace sluice::flow
