// ProgressDisplay: shows how far a job is, on stderr.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "console.h"
#include "flow/progress.h"
#include "io/task.h"

namespace sluice::cli {

enum class ProgressStyle : std::uint8_t {
  off,
  bar,     // one line on a terminal, ten times a second
  plain,   // a line every ten seconds
  events,  // the same as one JSON object a line
};

// What --progress, --json and --quiet ask for, where stderr is what it is.
[[nodiscard]] ProgressStyle progress_style(std::string_view flag, bool json,
                                           const Console& console);

// Looks at a job's counters at intervals; the job only counts. Start it before the job, and await
// `stop` after it. Belongs to one loop.
class ProgressDisplay {
 public:
  ProgressDisplay(io::Executor executor, const flow::Progress& progress, Console& console,
                  ProgressStyle style);

  void start();
  io::Task<> stop();

 private:
  io::Task<int> show();
  void draw(flow::TimePoint now);
  // The stage whose rate is told: the last one that is not "failed".
  [[nodiscard]] const flow::Stage* leading_stage() const;
  [[nodiscard]] std::string bar_text(flow::TimePoint now) const;
  [[nodiscard]] std::string plain_text() const;
  [[nodiscard]] std::string event_text() const;

  io::Executor executor_;
  const flow::Progress& progress_;
  Console& console_;
  ProgressStyle style_;
  flow::RateEstimate rate_;
  const flow::Stage* rated_ = nullptr;  // the stage that rate_ is of
  flow::TimePoint started_at_;
  bool stopping_ = false;
  io::Event stopped_;
  std::optional<io::Started<int>> showing_;
};

}  // namespace sluice::cli
