#include "cdn/plan.h"

#include <array>

namespace sluice::cdn {

namespace {

using std::chrono::seconds;

constexpr std::array<std::string_view, 4> kNames{"free", "pro", "business", "enterprise"};

// In the order of Plan.
constexpr std::array<PurgeLimits, 4> kLimits{{
    {.calls = 5,
     .per = seconds(60),
     .burst = 25,
     .urls_per_second = 800,
     .files = 100,
     .items = 100},
    {.calls = 5,
     .per = seconds(1),
     .burst = 25,
     .urls_per_second = 1500,
     .files = 100,
     .items = 100},
    {.calls = 10,
     .per = seconds(1),
     .burst = 50,
     .urls_per_second = 1500,
     .files = 100,
     .items = 100},
    {.calls = 50,
     .per = seconds(1),
     .burst = 500,
     .urls_per_second = 3000,
     .files = 500,
     .items = 100},
}};

}  // namespace

std::optional<Plan> parse_plan(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Plan>(i);
  }
  return std::nullopt;
}

std::string_view name(Plan plan) {
  return kNames[static_cast<std::size_t>(plan)];
}

PurgeLimits limits_of(Plan plan) {
  return kLimits[static_cast<std::size_t>(plan)];
}

flow::Allowance allowance_of(Plan plan, bool urls) {
  const PurgeLimits limits = limits_of(plan);
  const PurgeLimits least = limits_of(Plan::free);
  const std::size_t rate = limits.urls_per_second;
  std::optional<flow::TokenBucket> items;
  if (urls) items = flow::TokenBucket(rate, seconds(1), rate);
  flow::Allowance allowance;
  allowance.limit(flow::TokenBucket(limits.calls, limits.per, limits.burst), items,
                  flow::TokenBucket(least.calls, least.per, least.burst).interval(),
                  2 * static_cast<std::size_t>(plan));
  return allowance;
}

}  // namespace sluice::cdn
