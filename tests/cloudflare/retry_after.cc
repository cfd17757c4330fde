#include "tests/cloudflare/retry_after.h"

#include <algorithm>

namespace sluice::cloudflare_fake {

void RetryAfterWatch::told(Clock::time_point begun, Clock::time_point ended,
                           std::chrono::seconds wait) {
  if (ended + grace < begun + wait) closed_.push_back({ended + grace, begun + wait});
}

bool RetryAfterWatch::breaks(Clock::time_point at) {
  // A request is looked at some time after it has arrived, when the server was busy; hardly later
  // than this.
  constexpr std::chrono::seconds most_delay{10};
  std::erase_if(closed_, [&](const Closed& one) { return one.until + most_delay < at; });
  return std::ranges::any_of(closed_,
                             [&](const Closed& one) { return at > one.from && at < one.until; });
}

}  // namespace sluice::cloudflare_fake
