#include "flow/concurrency.h"

#include <algorithm>

namespace sluice::flow {

ConcurrencyController::ConcurrencyController(std::size_t maximum)
    : maximum_(std::max<std::size_t>(1, maximum)), limit_(static_cast<double>(maximum_)) {}

void ConcurrencyController::observe(const Sample& sample,
                                    std::chrono::steady_clock::time_point now) {
  if (!sample.overloaded) {
    // One more after a whole round of answers. A limit that is not used up tells nothing about
    // whether a higher one would hold.
    if (static_cast<double>(sample.in_flight) >= limit_ - 1.0) limit_ += 1.0 / limit_;
    limit_ = std::min(limit_, static_cast<double>(maximum_));
    return;
  }
  const bool same_overload = decreased_at_ != std::chrono::steady_clock::time_point::min() &&
                             now - decreased_at_ < sample.latency;
  if (same_overload) return;
  decreased_at_ = now;
  limit_ = std::max(1.0, limit_ / 2.0);
}

std::size_t ConcurrencyController::limit() const {
  return static_cast<std::size_t>(limit_);
}

}  // namespace sluice::flow
