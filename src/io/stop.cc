#include "io/stop.h"

namespace sluice::io {

Task<bool> Stop::sleep_until(Clock::time_point when) {
  while (!requested() && Clock::now() < when) co_await changed_.wait_until(when);
  co_return !requested();
}

Error Stop::given_up(std::string_view whom) const {
  Error error = *reason_;
  error.retry = Retry::never;
  error.message += fmt::format("; {} had not answered by then.", whom);
  return error;
}

}  // namespace sluice::io
