// ConcurrencyController: how many requests may be in flight. Pure.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::flow {

// What one answered (or failed) request tells about the service.
struct Sample {
  std::chrono::steady_clock::duration latency{};
  bool overloaded = false;    // throttled, timed out or broken
  std::size_t in_flight = 0;  // when it ended, itself included
};

// Additive increase, multiplicative decrease between 1 and `maximum`, as TCP does (Chiu and Jain,
// 1989). It starts at the maximum, since most services that Sluice talks to stand ten requests at a
// time and a start at one would make every short job slow; it halves at most once in the time of
// one round trip, so that the failures of one overload count once.
class ConcurrencyController {
 public:
  explicit ConcurrencyController(std::size_t maximum);

  void observe(const Sample& sample, std::chrono::steady_clock::time_point now);
  // How many may be in flight now: 1 to the maximum.
  [[nodiscard]] std::size_t limit() const;

 private:
  std::size_t maximum_;
  double limit_;
  std::chrono::steady_clock::time_point decreased_at_ =
      std::chrono::steady_clock::time_point::min();
};

}  // namespace sluice::flow
