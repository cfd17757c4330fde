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
  boost::asio::basic_signal_set<io::Executor> signals_;
};

// Requests the stop when the time for the whole run is over (--deadline).
class DeadlineStop {
 public:
  DeadlineStop(io::Executor executor, io::Stop& stop, std::chrono::milliseconds deadline);

 private:
  io::Timer timer_;
};

}  // namespace sluice::cli
