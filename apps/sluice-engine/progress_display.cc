#include "progress_display.h"

#include <boost/json.hpp>
#include <cmath>

#include "base/duration.h"
#include "base/size.h"
#include "base/utf8.h"

namespace sluice::cli {

namespace {

constexpr std::chrono::milliseconds kBarInterval{100};
constexpr std::chrono::seconds kLineInterval{10};
constexpr std::size_t kBarCells = 20;

std::string stage_texts(const flow::Progress& progress, std::string_view separator) {
  std::string text;
  for (const flow::Stage& stage : progress.stages()) {
    if (stage.name == "failed" && stage.count == 0) continue;
    if (!text.empty()) text += separator;
    text += fmt::format("{} {}", stage.name, format_count(stage.count));
    if (stage.total) text += fmt::format(" of {}", format_count(*stage.total));
  }
  return text;
}

}  // namespace

ProgressStyle progress_style(std::string_view flag, bool json, const Console& console) {
  if (flag == "off" || (console.quiet() && flag == "auto")) return ProgressStyle::off;
  if (flag == "bar") return ProgressStyle::bar;
  if (flag == "auto" && console.stderr_is_terminal()) return ProgressStyle::bar;
  return json ? ProgressStyle::events : ProgressStyle::plain;
}

ProgressDisplay::ProgressDisplay(io::Executor executor, const flow::Progress& progress,
                                 Console& console, ProgressStyle style)
    : executor_(executor),
      progress_(progress),
      console_(console),
      style_(style),
      started_at_(io::Clock::now()),
      stopped_(executor) {}

void ProgressDisplay::start() {
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
  const bool bar = style_ == ProgressStyle::bar;
  flow::TimePoint next = io::Clock::now();
  while (!stopping_) {
    next += bar ? flow::Duration(kBarInterval) : flow::Duration(kLineInterval);
    while (!stopping_ && io::Clock::now() < next) co_await stopped_.wait_until(next);
    if (!stopping_) draw(io::Clock::now());
  }
  co_return 0;
}

void ProgressDisplay::draw(flow::TimePoint now) {
  if (const flow::Stage* stage = leading_stage()) {
    if (stage != rated_) {
      rated_ = stage;
      rate_ = flow::RateEstimate();
      rate_.sample(0, started_at_);
    }
    rate_.sample(stage->count, now);
  }
  switch (style_) {
    case ProgressStyle::off:
      break;
    case ProgressStyle::bar:
      console_.set_bar(bar_text(now));
      break;
    case ProgressStyle::plain:
      console_.say("{}", plain_text());
      break;
    case ProgressStyle::events:
      console_.say("{}", event_text());
      break;
  }
}

const flow::Stage* ProgressDisplay::leading_stage() const {
  const flow::Stage* leading = nullptr;
  for (const flow::Stage& stage : progress_.stages()) {
    if (stage.name != "failed") leading = &stage;
  }
  // Before the last stage has begun, an earlier one tells more.
  if (leading != nullptr && leading->count == 0) {
    for (const flow::Stage& stage : progress_.stages()) {
      if (stage.count > 0) return &stage;
    }
  }
  return leading;
}

std::string ProgressDisplay::bar_text(flow::TimePoint now) const {
  const flow::Stage* leading = leading_stage();
  if (leading == nullptr) return {};
  std::string text;
  if (leading->total && *leading->total > 0) {
    const double part =
        std::min(1.0, static_cast<double>(leading->count) / static_cast<double>(*leading->total));
    const auto filled = static_cast<std::size_t>(part * static_cast<double>(kBarCells));
    text = fmt::format("[{}{}] {:3.0f} %  ", std::string(filled, '='),
                       std::string(kBarCells - filled, ' '), std::floor(part * 100));
  }
  text += stage_texts(progress_, "  ");
  if (rate_.per_second() > 0) {
    text += fmt::format("  {}/s", format_count(static_cast<std::uint64_t>(rate_.per_second())));
  }
  const auto left = leading->total && *leading->total > leading->count
                        ? rate_.time_for(*leading->total - leading->count)
                        : std::nullopt;
  if (left) {
    text += fmt::format("  {} left", format_duration(*left));
  } else {
    text += fmt::format(
        "  {}",
        format_duration(std::chrono::duration_cast<std::chrono::seconds>(now - started_at_)));
  }
  return truncated_to_width(text, console_.width() - 1);
}

std::string ProgressDisplay::plain_text() const {
  return fmt::format("{}, {}/s", stage_texts(progress_, ", "),
                     format_count(static_cast<std::uint64_t>(rate_.per_second())));
}

std::string ProgressDisplay::event_text() const {
  boost::json::object event{{"event", "progress"}};
  for (const flow::Stage& stage : progress_.stages()) event[stage.name] = stage.count;
  event["per_second"] = std::round(rate_.per_second());
  return boost::json::serialize(event);
}

}  // namespace sluice::cli
