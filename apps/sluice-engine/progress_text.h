// ProgressText: how far a job is, in words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "flow/progress.h"

namespace sluice::cli {

// What the stores of a job tell of their traffic.
struct Traffic {
  std::uint64_t requests = 0;
  std::uint64_t retries = 0;
  std::uint64_t throttled = 0;
  // When requests may be sent again, if they have to wait for the rate budget.
  flow::TimePoint opens_at = flow::TimePoint::min();
  std::string trouble{};  // why nothing gets through, while that is so
};

// Makes text of a job's counters: a line with a bar for each stage, one plain line, or one JSON
// object. Rates are smoothed, one for each stage; a percentage and a time left are told only of a
// stage whose total is known. Pure: the time comes in as an argument. `progress` outlives it.
class ProgressText {
 public:
  ProgressText(const flow::Progress& progress, flow::TimePoint started)
      : progress_(progress), started_(started) {}

  // Looks at the counters. Call at intervals.
  void sample(flow::TimePoint now, const Traffic& traffic);

  // A line for each stage that has begun, one for a wait and one for trouble; none wider than
  // `width` columns; for a terminal.
  [[nodiscard]] std::string bars(flow::TimePoint now, std::size_t width) const;
  // "listed 5,000 (100/s), deleted 1,000 of 4,000 (25 %, 50/s, 1m left)"; for a log.
  [[nodiscard]] std::string line(flow::TimePoint now) const;
  // What keeps requests from getting through, if anything does: trouble, or else a wait for the
  // rate budget.
  struct Obstacle {
    std::string cause;  // stays the same while the text counts down
    std::string text;
  };
  [[nodiscard]] std::optional<Obstacle> obstacle(flow::TimePoint now) const;
  // {"event":"progress","listed":5000,…,"stages":[{"name","count","total"?,"per_second",
  // "seconds_left"?}],"requests":…,"retries":…,"throttled":…,"waiting_milliseconds":…,
  // "trouble"?}; for a program.
  [[nodiscard]] std::string event(flow::TimePoint now) const;

 private:
  // What is told of a stage.
  struct Row {
    const flow::Stage* stage;
    double per_second;
    std::optional<std::chrono::seconds> left;
  };
  [[nodiscard]] std::deque<Row> rows() const;

  [[nodiscard]] std::chrono::milliseconds waiting(flow::TimePoint now) const;

  const flow::Progress& progress_;
  flow::TimePoint started_;
  std::deque<flow::RateEstimate> rates_;  // in the order of the stages
  Traffic traffic_;
};

}  // namespace sluice::cli
