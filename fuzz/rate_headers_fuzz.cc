#include <chrono>
#include <string_view>

#include "http/rate_headers.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string_view value(reinterpret_cast<const char*>(data), size);
  // 2023-11-14, 22:13:20 UTC
  const std::chrono::system_clock::time_point now{std::chrono::seconds(1'700'000'000)};
  const auto bounded = [](std::optional<std::chrono::milliseconds> pause) {
    return !pause || (pause->count() >= 0 && *pause <= http::longest_told_pause);
  };
  fuzz::require(bounded(http::parse_retry_after(value, now)), "Retry-After is bounded");
  flow::BudgetHint hint;
  http::parse_ratelimit(value, hint);
  http::parse_ratelimit_policy(value, hint);
  fuzz::require(bounded(hint.reset_after), "the reset is bounded");
  for (std::size_t i = 0; i < hint.quotas.size(); ++i) {
    const flow::Quota& quota = hint.quotas[i];
    fuzz::require(quota.requests > 0 && quota.window > flow::Duration::zero(),
                  "a quota that is told lets something through");
  }
  return 0;
}
