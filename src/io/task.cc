#include "io/task.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/system/error_code.hpp>

namespace sluice::io {

namespace {

// The token that reports an error as a value. Waits end with operation_aborted when they are
// notified, which is no error here.
auto quiet(boost::system::error_code& error) {
  return boost::asio::redirect_error(use_task, error);
}

}  // namespace

Task<> sleep_until(Clock::time_point when) {
  Timer timer(co_await boost::asio::this_coro::executor, when);
  boost::system::error_code ignored;
  co_await timer.async_wait(quiet(ignored));
}

Task<> yield() {
  co_await boost::asio::post(co_await boost::asio::this_coro::executor, use_task);
}

Task<> Event::wait_until(Clock::time_point when) {
  Timer timer(executor_, when);
  const auto place = waiters_.insert(waiters_.end(), &timer);
  boost::system::error_code ignored;
  co_await timer.async_wait(quiet(ignored));
  waiters_.erase(place);
}

}  // namespace sluice::io
