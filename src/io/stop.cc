#include "io/stop.h"

namespace sluice::io {

Task<bool> Stop::sleep_until(Clock::time_point when) {
  while (!requested() && Clock::now() < when) co_await changed_.wait_until(when);
  co_return !requested();
}

}  // namespace sluice::io
