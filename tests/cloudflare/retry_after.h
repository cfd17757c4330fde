// RetryAfterWatch: which requests came although a client had been told to wait.
#pragma once

#include <chrono>
#include <deque>

#include "tests/cloudflare/rate_limit.h"

namespace sluice::cloudflare_fake {

// The fake has one budget, so an answer with Retry-After closes it for everybody. Pure.
//
// A request breaks it when its first byte arrives between the end of the grace and the end of the
// Retry-After. The grace is for what was on its way when the answer went out: a client cannot obey
// what it has not read yet. The time runs from before the answer is written, since a client's own
// clock cannot begin earlier than that, so that one that waits as long as it was told is never
// taken for one that does not.
class RetryAfterWatch {
 public:
  // Enough for a loopback and a client that does not get the processor at once; little beside the
  // shortest Retry-After, one second.
  static constexpr std::chrono::milliseconds grace{50};

  // An answer with Retry-After was written, from `begun` to `ended`.
  void told(Clock::time_point begun, Clock::time_point ended, std::chrono::seconds wait);
  // Whether a request whose first byte arrived at `at` breaks one of them.
  [[nodiscard]] bool breaks(Clock::time_point at);

 private:
  struct Closed {
    Clock::time_point from;
    Clock::time_point until;
  };
  std::deque<Closed> closed_;
};

}  // namespace sluice::cloudflare_fake
