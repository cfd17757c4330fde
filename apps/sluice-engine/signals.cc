#include "signals.h"

#include <csignal>
#include <cstdlib>

#include "base/duration.h"

namespace sluice::cli {

SignalStop::SignalStop(io::Executor executor, io::Stop& stop, Console& console,
                       std::chrono::milliseconds grace)
    : stop_(stop), console_(console), grace_(grace), signals_(executor, SIGINT, SIGTERM, SIGHUP) {
  wait();
}

void SignalStop::wait() {
  signals_.async_wait([this](boost::system::error_code error, int) {
    if (error) return;
    // timeout(1) signals the child and then its group: the same request twice.
    const auto now = io::Clock::now();
    const bool same_request = now - asked_at_ < std::chrono::milliseconds(250);
    if (stop_.requested() && same_request) return wait();
    asked_at_ = now;
    if (stop_.requested()) {
      console_.set_bar("");
      std::_Exit(static_cast<int>(ExitCode::interrupted));
    }
    // At a question nothing is under way, and its end is told by who asked.
    if (!console_.asking()) {
      console_.say("stopping: what is under way has {} to end (again to exit at once)",
                   format_duration(grace_));
    }
    stop_.request({ErrorCode::interrupted, Retry::never, std::nullopt, "interrupted"});
    wait();
  });
}

Grace::Grace(io::Executor executor, io::Stop& stop)
    : timer_(executor), on_request_(stop, [this, &stop] {
        timer_.expires_after(kGrace);
        timer_.async_wait([&stop](boost::system::error_code error) {
          if (!error) stop.abandon();
        });
      }) {}

DeadlineStop::DeadlineStop(io::Executor executor, io::Stop& stop,
                           std::chrono::milliseconds deadline)
    : timer_(executor, deadline) {
  timer_.async_wait([&stop, deadline](boost::system::error_code error) {
    if (error) return;
    stop.request({ErrorCode::deadline, Retry::never, std::nullopt,
                  fmt::format("the deadline of {} is over", format_duration(deadline))});
  });
}

}  // namespace sluice::cli
