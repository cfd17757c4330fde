// Quota and Pace: how many requests a credential may send in which time. Pure.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
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

// The quotas of one budget, which hold together: "1000 an hour, and 10 a second".
class Quotas {
 public:
  static constexpr std::size_t most = 2;

  // One too many is left out.
  void add(const Quota& quota) {
    if (size_ < most) quotas_[size_++] = quota;
  }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  const Quota& operator[](std::size_t i) const { return quotas_[i]; }
  friend bool operator==(const Quotas&, const Quotas&) = default;

 private:
  std::array<Quota, most> quotas_{};
  std::size_t size_ = 0;
};

// What --rate takes: "1200/5m", "4/s", "100/1m30s".
Result<Quota> parse_quota(std::string_view text);

// What an answer told about the budget (Ratelimit, Ratelimit-Policy, X-RateLimit-* headers).
struct BudgetHint {
  Quotas quotas;                                         // empty: not told
  std::optional<std::size_t> remaining;                  // requests left in the server's window
  std::optional<std::chrono::milliseconds> reset_after;  // until that window ends
};

// A quota as Sluice keeps it: at most `requests` in any interval of length `span`, wherever it
// begins. A token bucket of the same rate would not do: after an idle time it lets twice the quota
// into one window of the server's.
struct Pace {
  std::size_t requests = 0;
  Duration span{};
  // As long as that, a request counts as sent later than it was (see SendLog).
  Duration slack{};
  static constexpr Duration most_slack = std::chrono::seconds(15);
  friend bool operator==(const Pace&, const Pace&) = default;
};

// The quota less its margins. One request in a hundred (none below 50 requests), for what is sent
// without us knowing, or is held up for very long. A quarter of a percent of the window, at most
// 100 ms, for clocks that run at different speeds. And a slack of 4 % of the window, which costs
// time only where answers take that long. A quota that the log of sends cannot hold is cut into
// parts.
[[nodiscard]] Pace pace_of(const Quota& quota);

}  // namespace sluice::flow
