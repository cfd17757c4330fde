// SignalStop, DeadlineStop and Grace: what asks a run to end early from outside.
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
  // `grace`: what is said about the time that is left.
  SignalStop(io::Executor executor, io::Stop& stop, Console& console,
             std::chrono::milliseconds grace);

 private:
  void wait();
  io::Stop& stop_;
  Console& console_;
  std::chrono::milliseconds grace_;
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

// What is on the wire when a stop is requested has this long to end. A bulk write of 10,000
// entries, the largest request there is, is usually answered within it; and a run outlives its
// --deadline, or the first Ctrl-C, by no more, whatever --timeout allows a single request.
inline constexpr std::chrono::seconds kGrace{5};

// Abandons the stop that was requested, by whomever, when the grace is over.
class Grace {
 public:
  Grace(io::Executor executor, io::Stop& stop);

 private:
  io::Timer timer_;
  io::Stop::Listener on_request_;
};

// What may end a command early: signals and --deadline. Made first thing in a command that waits
// for anything, so that the deadline covers all of it.
class RunGuard {
 public:
  RunGuard(io::Loop& loop, io::Stop& stop, Console& console,
           std::optional<std::chrono::milliseconds> deadline)
      : grace_(loop.executor(), stop), signals_(loop.executor(), stop, console, kGrace) {
    if (deadline) deadline_.emplace(loop.executor(), stop, *deadline);
  }

 private:
  Grace grace_;
  SignalStop signals_;
  std::optional<DeadlineStop> deadline_;
};

}  // namespace sluice::cli
