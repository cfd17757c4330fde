// ProgressText: how far a job is, in words.
#pragma once

#include <cstddef>
#include <deque>
#include <string>

#include "flow/progress.h"

namespace sluice::cli {

// Makes text of a job's counters: a line with a bar for each stage, one plain line, or one JSON
// object. Rates are smoothed, one for each stage; a percentage and a time left are told only of a
// stage whose total is known. Pure: the time comes in as an argument. `progress` outlives it.
class ProgressText {
 public:
  ProgressText(const flow::Progress& progress, flow::TimePoint started)
      : progress_(progress), started_(started) {}

  // Looks at the counters. Call at intervals.
  void sample(flow::TimePoint now);

  // A line for each stage that has begun, none wider than `width` columns; for a terminal.
  [[nodiscard]] std::string bars(flow::TimePoint now, std::size_t width) const;
  // "listed 5,000 (100/s), deleted 1,000 of 4,000 (25 %, 50/s, 1m left)"; for a log.
  [[nodiscard]] std::string line() const;
  // {"event":"progress","listed":5000,…,"stages":[{"name","count","total"?,"per_second",
  // "seconds_left"?}]}; for a program.
  [[nodiscard]] std::string event(flow::TimePoint now) const;

 private:
  // What is told of a stage.
  struct Row {
    const flow::Stage* stage;
    double per_second;
    std::optional<std::chrono::seconds> left;
  };
  [[nodiscard]] std::deque<Row> rows() const;

  const flow::Progress& progress_;
  flow::TimePoint started_;
  std::deque<flow::RateEstimate> rates_;  // in the order of the stages
};

}  // namespace sluice::cli
