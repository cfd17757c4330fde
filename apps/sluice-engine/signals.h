// SignalStop and DeadlineStop: what asks a run to end early from outside.
#pragma once

#include <boost/asio/basic_signal_set.hpp>
#include <chrono>
#include <optional>

#include "console.h"
#include "io/stop.h"

namespace sluice::cli {

// The first SIGINT, SIGTERM or SIGHUP requests the stop; the second ends the program at once, with
// 130. Exists while the loop runs.
class SignalStop {
 public:
  SignalStop(io::Executor executor, io::Stop& stop, Console& console);

 private:
  void wait();
  io::Stop& stop_;
  Console& console_;
  io::Clock::time_point asked_at_{};
  boost::asio::basic_signal_set<io::Executor> signals_;
};

// Requests the stop when the time for the whole run is over (--deadline).
class DeadlineStop {
 public:
  DeadlineStop(io::Executor executor, io::Stop& stop, std::chrono::milliseconds deadline);

 private:
  io::Timer timer_;
};

// What may end a command early: signals and --deadline. Made first thing in a command that waits
// for anything, so that the deadline covers all of it.
class RunGuard {
 public:
  RunGuard(io::Loop& loop, io::Stop& stop, Console& console,
           std::optional<std::chrono::milliseconds> deadline)
      : signals_(loop.executor(), stop, console) {
    if (deadline) deadline_.emplace(loop.executor(), stop, *deadline);
  }

 private:
  SignalStop signals_;
  std::optional<DeadlineStop> deadline_;
};

}  // namespace sluice::cli
