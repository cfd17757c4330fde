// ProgressDisplay: shows how far a job is, on stderr.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "console.h"
#include "flow/progress.h"
#include "io/task.h"
#include "progress_text.h"

namespace sluice::cli {

enum class ProgressStyle : std::uint8_t {
  off,
  bar,      // a line for each stage on a terminal, ten times a second
  plain,    // a line every ten seconds
  events,   // the same as one JSON object a line
  trouble,  // only what stands in the way: a line, and another one when that changes
};

// What --progress, --json and --quiet ask for, where stderr is what it is.
[[nodiscard]] ProgressStyle progress_style(std::string_view flag, bool json,
                                           const Console& console);
// The same for work that shows no progress: `trouble` on a terminal, else `off`.
[[nodiscard]] ProgressStyle trouble_style(std::string_view flag, const Console& console);

// Looks at a job's counters at intervals; the job only counts. Start it before the job, and await
// `stop` after it. Belongs to one loop.
class ProgressDisplay {
 public:
  ProgressDisplay(io::Executor executor, const flow::Progress& progress, Console& console,
                  ProgressStyle style);

  // Between `stop` and `start`.
  void set_style(ProgressStyle style) { style_ = style; }
  // `traffic` is asked at each look, until `stop`.
  void start(std::function<Traffic()> traffic);
  io::Task<> stop();

 private:
  io::Task<int> show();
  void draw(flow::TimePoint now);
  void tell_obstacle(flow::TimePoint now);

  io::Executor executor_;
  Console& console_;
  ProgressStyle style_;
  ProgressText text_;
  std::function<Traffic()> traffic_;
  std::string told_;  // the cause of the last obstacle that was told
  bool stopping_ = false;
  io::Event stopped_;
  std::optional<io::Started<int>> showing_;
};

}  // namespace sluice::cli
