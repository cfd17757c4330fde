// Plan: what Cloudflare's plans allow of cache purges. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "flow/allowance.h"
#include "flow/token_bucket.h"

namespace sluice::cdn {

// From the least to the most.
enum class Plan : std::uint8_t { free, pro, business, enterprise };

// "pro"; also what a zone's `plan.legacy_id` says. Nothing for any other word.
[[nodiscard]] std::optional<Plan> parse_plan(std::string_view name);
[[nodiscard]] std::string_view name(Plan plan);

// Calls of an account, as a token bucket; and the URLs that its calls may carry in a second.
// https://developers.cloudflare.com/cache/how-to/purge-cache/#availability-and-limits
struct PurgeLimits {
  std::size_t calls = 0;  // come back in each …
  flow::Duration per{};
  std::size_t burst = 0;  // the bucket's size
  std::size_t urls_per_second = 0;
  std::size_t files = 0;  // of one call, at most
  std::size_t items = 0;  // of one call of any other kind
};
[[nodiscard]] PurgeLimits limits_of(Plan plan);

// The limits of a plan, for a gate. Whatever is learned, calls do not become rarer than those of
// the least plan. `urls`: the calls carry URLs, which are counted, too.
[[nodiscard]] flow::Allowance allowance_of(Plan plan, bool urls);

}  // namespace sluice::cdn
