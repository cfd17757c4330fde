// TokenBucket: a budget that lets a burst through, and after it a steady rate. Pure.
#pragma once

#include <cstddef>

#include "flow/quota.h"

namespace sluice::flow {

// Holds at most `capacity` tokens; `tokens` come back in each `per`. All its state is the moment at
// which it will be full again, which its keeper stores (the "generic cell rate algorithm", ITU-T
// I.371): one number, so that processes can share it without a lock. A moment in the past: it is
// full.
//
// It keeps a margin below what the service counts: 2 % of the capacity, at least one token, for
// requests that overtake each other on the way, and a rate that is 1 % slower. A capacity of one
// has no margin but the rate's.
//
// For services that count in buckets. A quota in a window needs a SendLog: see Pace.
class TokenBucket {
 public:
  TokenBucket(std::size_t tokens, Duration per, std::size_t capacity);

  // When `wanted` tokens are there. More than the bucket ever holds are there when it is full.
  [[nodiscard]] TimePoint opens_at(TimePoint full_at, std::size_t wanted) const;
  // When it is full again after `taken` more tokens were taken at `now`.
  [[nodiscard]] TimePoint full_after(TimePoint full_at, std::size_t taken, TimePoint now) const;
  // When it is full again if it is empty at `now`.
  [[nodiscard]] TimePoint full_after_emptied(TimePoint now) const {
    return now + refill(capacity_);
  }

  // Tokens come back half as fast from now on, but never slower than one in `slowest`.
  void slow_down(Duration slowest);

  // Less the margins.
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] Duration interval() const { return interval_; }

 private:
  [[nodiscard]] Duration refill(std::size_t tokens) const {
    return interval_ * static_cast<Duration::rep>(tokens);
  }

  std::size_t capacity_;
  Duration interval_;  // in which one token comes back
};

}  // namespace sluice::flow
