// What answers tell about rate budgets. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "flow/quota.h"
#include "http/message.h"

namespace sluice::http {

// Nothing that a server tells makes Sluice wait longer than this at a time.
inline constexpr std::chrono::milliseconds longest_told_pause = std::chrono::hours(1);

// Retry-After (RFC 9110, section 10.2.3): seconds, or a date, which is measured from `now`. A date
// in the past is 0. Nothing for a malformed value; at most longest_told_pause.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_retry_after(
    std::string_view value, std::chrono::system_clock::time_point now);

// Ratelimit, `"default";r=50;t=30`: r requests left, t seconds until the reset
// (draft-ietf-httpapi-ratelimit-headers-09). Of several policies the one with the fewest left
// counts.
void parse_ratelimit(std::string_view value, flow::BudgetHint& hint);

// Ratelimit-Policy, `"default";q=1200;w=300`: q requests in w seconds. Of several policies two
// count: the one with the lowest rate, and the one with the shortest window, which limits bursts.
void parse_ratelimit_policy(std::string_view value, flow::BudgetHint& hint);

struct RateHeaders {
  std::optional<std::chrono::milliseconds> retry_after;
  flow::BudgetHint hint;
};

// All of the above, and the older X-RateLimit-Remaining and -Reset (seconds, or a time since 1970),
// or RateLimit-Remaining and -Reset of earlier drafts, where the newer ones are absent. What is
// malformed is left out.
[[nodiscard]] RateHeaders read_rate_headers(const Headers& headers,
                                            std::chrono::system_clock::time_point now);

}  // namespace sluice::http
