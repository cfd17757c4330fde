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

void Retrier::ended(const Error* error) {
  // A stop says nothing about the service.
  if (error != nullptr && stop.requested()) return;
  const bool passing =
      error != nullptr && (error->retry == Retry::again || error->retry == Retry::smaller);
  if (!passing) {
    failures_in_a_row_ = 0;
    return;
  }
  ++failures_in_a_row_;
  last_failure_ = error->message;
}

}  // namespace sluice::flow
