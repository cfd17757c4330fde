#include "flow/attempt.h"

#include <algorithm>
#include <cmath>

namespace sluice::flow {

std::optional<std::chrono::milliseconds> pause_before_retry(const RetryPolicy& policy,
                                                            int attempts_made, const Error& error,
                                                            double random) {
  if (error.retry != Retry::again || attempts_made >= policy.attempts) return std::nullopt;
  const double exponential =
      static_cast<double>(policy.base.count()) * std::exp2(attempts_made - 1);
  const double ceiling = std::min(exponential, static_cast<double>(policy.longest.count()));
  const std::chrono::milliseconds jitter(static_cast<std::int64_t>(ceiling * random));
  return error.retry_after.value_or(std::chrono::milliseconds(0)) + jitter;
}

}  // namespace sluice::flow
