// RateLimit: the service's own budget, as the fake models it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace sluice::cloudflare_fake {

using Clock = std::chrono::steady_clock;

// A fixed window that begins at a moment that clients cannot know. Past the quota everything is
// blocked for `block`, as Cloudflare does for five minutes.
class RateLimit {
 public:
  struct Options {
    std::uint64_t requests = 0;  // 0: no limit
    std::chrono::seconds window{300};
    std::chrono::seconds block{300};
    bool headers = true;  // Ratelimit and Ratelimit-Policy on every answer
  };
  RateLimit(Options options, Clock::time_point first_window)
      : options_(options), window_start_(first_window) {}

  // Counts a request. Nothing: it may pass; else how long the block still runs.
  std::optional<std::chrono::seconds> count(Clock::time_point now);
  [[nodiscard]] bool enabled() const { return options_.requests != 0; }
  // The values of the two headers; empty when there are none.
  [[nodiscard]] std::string header(Clock::time_point now) const;
  [[nodiscard]] std::string policy_header() const;

 private:
  Options options_;
  Clock::time_point window_start_;
  Clock::time_point blocked_until_ = Clock::time_point::min();
  std::uint64_t used_ = 0;
};

// "1200/300s", "100/1m", "50/s": blocked for one window past it.
Result<RateLimit::Options> parse_rate_limit(std::string_view text);

}  // namespace sluice::cloudflare_fake
