// Quota and SlidingWindow: how many requests a credential may send, and when the next one may go.
// Pure: time comes in as an argument, nothing waits, nothing is shared.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace sluice::flow {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

// `requests` in any interval of length `window`.
struct Quota {
  std::size_t requests = 0;
  Duration window{};
  friend bool operator==(const Quota&, const Quota&) = default;
};

// What --rate takes: "1200/5m", "4/s", "100/1m30s".
Result<Quota> parse_quota(std::string_view text);

// What an answer told about the budget (Ratelimit, Ratelimit-Policy, X-RateLimit-* headers).
struct BudgetHint {
  std::optional<Quota> quota;
  std::optional<std::size_t> remaining;                  // requests left in the server's window
  std::optional<std::chrono::milliseconds> reset_after;  // until that window ends
};

// Admits sends so that no interval of the window's length, wherever it begins, holds more of them
// than the quota less a margin. A token bucket of the same rate would not do: after an idle time it
// lets twice the quota into one window of the server's.
//
// Invariant: `sends_` holds, oldest first, the times of the last `limit()` admitted sends at most;
// with fewer, or none, the window is not full.
class SlidingWindow {
 public:
  // The margin covers what is sent here late and counted there early: the network's jitter.
  explicit SlidingWindow(Quota quota);

  // The earliest moment, not before `now`, at which one more request may be sent.
  [[nodiscard]] TimePoint next(TimePoint now) const;
  // A request is sent at `now`. Requires next(now) <= now.
  void record(TimePoint now);
  // Changes the quota and keeps the history.
  void set_quota(Quota quota);

  [[nodiscard]] const Quota& quota() const { return quota_; }
  // The quota less the margin.
  [[nodiscard]] std::size_t limit() const { return limit_; }

 private:
  Quota quota_;
  std::size_t limit_ = 0;
  Duration span_{};  // the window plus the margin in time
  std::deque<TimePoint> sends_;
};

}  // namespace sluice::flow
