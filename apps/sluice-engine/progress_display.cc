#include "progress_display.h"

namespace sluice::cli {

namespace {

constexpr std::chrono::milliseconds kBarInterval{100};
constexpr std::chrono::seconds kLineInterval{10};

}  // namespace

ProgressStyle progress_style(std::string_view flag, bool json, const Console& console) {
  if (flag == "off" || (console.quiet() && flag == "auto")) return ProgressStyle::off;
  if (flag == "bar") return ProgressStyle::bar;
  if (flag == "auto" && console.stderr_is_terminal()) return ProgressStyle::bar;
  return json ? ProgressStyle::events : ProgressStyle::plain;
}

ProgressStyle trouble_style(std::string_view flag, const Console& console) {
  const bool wanted = flag != "off" && !console.quiet() && console.stderr_is_terminal();
  return wanted ? ProgressStyle::trouble : ProgressStyle::off;
}

ProgressDisplay::ProgressDisplay(io::Executor executor, const flow::Progress& progress,
                                 Console& console, ProgressStyle style)
    : executor_(executor),
      console_(console),
      style_(style),
      text_(progress, io::Clock::now()),
      stopped_(executor) {}

void ProgressDisplay::start(std::function<Traffic()> traffic) {
  traffic_ = std::move(traffic);
  stopping_ = false;
  if (style_ != ProgressStyle::off) showing_.emplace(executor_, show());
}

io::Task<> ProgressDisplay::stop() {
  stopping_ = true;
  stopped_.notify_all();
  if (showing_) (void)co_await showing_->get();
  console_.set_bar("");
}

io::Task<int> ProgressDisplay::show() {
  const bool often = style_ == ProgressStyle::bar || style_ == ProgressStyle::trouble;
  flow::TimePoint next = io::Clock::now();
  while (!stopping_) {
    next += often ? flow::Duration(kBarInterval) : flow::Duration(kLineInterval);
    while (!stopping_ && io::Clock::now() < next) co_await stopped_.wait_until(next);
    if (!stopping_) draw(io::Clock::now());
  }
  co_return 0;
}

void ProgressDisplay::draw(flow::TimePoint now) {
  text_.sample(now, traffic_());
  // What nobody can take just now is left out: the job does not wait for a display.
  if (!console_.ready()) return;
  switch (style_) {
    case ProgressStyle::off:
      break;
    case ProgressStyle::bar:
      console_.set_bar(text_.bars(now, console_.width() - 1));
      break;
    case ProgressStyle::plain:
      console_.say("{}", text_.line(now));
      break;
    case ProgressStyle::events:
      console_.say("{}", text_.event(now));
      break;
    case ProgressStyle::trouble:
      tell_obstacle(now);
      break;
  }
}

void ProgressDisplay::tell_obstacle(flow::TimePoint now) {
  const auto obstacle = text_.obstacle(now);
  if (!obstacle || obstacle->cause == told_) return;
  told_ = obstacle->cause;
  console_.say("{}", obstacle->text);
}

}  // namespace sluice::cli
