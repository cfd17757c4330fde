// Progress: how far a job is, for whoever wants to show it. It prints nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "flow/quota.h"

namespace sluice::flow {

// One counter of a job: "listed", "matched", "deleted".
struct Stage {
  std::string name;
  std::uint64_t count = 0;
  // Set only when it is known for sure; without it there is no percentage and no time left.
  std::optional<std::uint64_t> total;
};

// The stages of one job, in the order in which entries pass them. The job counts, a display looks
// when it likes: counting costs an addition, so the display cannot slow the job. Belongs to one
// loop.
class Progress {
 public:
  // The stage of that name, made if it is not there yet. The reference stays valid.
  Stage& stage(std::string_view name);
  [[nodiscard]] const std::deque<Stage>& stages() const { return stages_; }

 private:
  std::deque<Stage> stages_;
};

// A smoothed rate: an exponentially weighted mean with a time constant, so that uneven sampling
// does not matter. Pure.
class RateEstimate {
 public:
  explicit RateEstimate(double seconds_constant = 5.0) : constant_(seconds_constant) {}

  void sample(std::uint64_t count, TimePoint now);
  // Items a second; 0 before the second sample.
  [[nodiscard]] double per_second() const { return rate_; }
  // The time that `left` items take at this rate, if there is one; none while nothing moves, since
  // the rate is then what is left of an earlier one.
  [[nodiscard]] std::optional<std::chrono::seconds> time_for(std::uint64_t left) const;

 private:
  double constant_;
  double rate_ = 0;
  bool started_ = false;
  bool rated_ = false;
  std::uint64_t count_ = 0;
  TimePoint at_{};
  TimePoint moved_at_{};  // when the count was last seen to have grown
};

}  // namespace sluice::flow
