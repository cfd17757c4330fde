#include "flow/token_bucket.h"

#include <algorithm>

namespace sluice::flow {

TokenBucket::TokenBucket(std::size_t tokens, Duration per, std::size_t capacity)
    : capacity_(std::max<std::size_t>(1, capacity)),
      interval_(per / static_cast<Duration::rep>(std::max<std::size_t>(1, tokens))) {
  if (capacity_ > 1) capacity_ -= std::max<std::size_t>(1, capacity_ / 50);
  interval_ += interval_ / 100;
}

TimePoint TokenBucket::opens_at(TimePoint full_at, std::size_t wanted) const {
  return full_at - refill(capacity_ - std::min(wanted, capacity_));
}

TimePoint TokenBucket::full_after(TimePoint full_at, std::size_t taken, TimePoint now) const {
  return std::max(full_at, now) + refill(taken);
}

void TokenBucket::slow_down(Duration slowest) {
  interval_ = std::max(interval_, std::min(interval_ * 2, slowest));
}

}  // namespace sluice::flow
