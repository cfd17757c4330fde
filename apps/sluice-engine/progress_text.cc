#include "progress_text.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "base/duration.h"
#include "base/size.h"
#include "base/utf8.h"

namespace sluice::cli {

namespace {

constexpr std::size_t kBarCells = 20;
// Shorter waits would only flicker.
constexpr std::chrono::milliseconds kShownWait{1000};

double part_of(const flow::Stage& stage) {
  if (!stage.total || *stage.total == 0) return 1.0;
  return std::min(1.0, static_cast<double>(stage.count) / static_cast<double>(*stage.total));
}

std::string percent(const flow::Stage& stage) {
  // Rounded down: 100 % is said when it is done.
  return fmt::format("{:.0f} %", std::floor(part_of(stage) * 100));
}

std::string bar(const flow::Stage& stage) {
  const auto filled = static_cast<std::size_t>(part_of(stage) * static_cast<double>(kBarCells));
  return fmt::format("[{}{}]", std::string(filled, '='), std::string(kBarCells - filled, ' '));
}

std::string waiting_text(std::chrono::milliseconds wait) {
  return fmt::format("waiting {} for the rate budget",
                     format_duration(std::chrono::ceil<std::chrono::seconds>(wait)));
}

std::string trouble_text(std::string_view trouble) {
  return fmt::format("trying again: {}", printable(trouble));
}

std::string rate_text(double per_second) {
  return fmt::format("{}/s", format_count(static_cast<std::uint64_t>(per_second)));
}

}  // namespace

void ProgressText::sample(flow::TimePoint now, const Traffic& traffic) {
  traffic_ = traffic;
  const auto& stages = progress_.stages();
  for (std::size_t i = 0; i < stages.size(); ++i) {
    if (i == rates_.size()) rates_.emplace_back().sample(0, started_);
    rates_[i].sample(stages[i].count, now);
  }
}

std::deque<ProgressText::Row> ProgressText::rows() const {
  std::deque<Row> rows;
  const auto& stages = progress_.stages();
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const flow::Stage& stage = stages[i];
    if (stage.count == 0 && !stage.total) continue;
    Row row{.stage = &stage,
            .per_second = i < rates_.size() ? rates_[i].per_second() : 0,
            .left = std::nullopt};
    if (i < rates_.size() && stage.total && *stage.total > stage.count) {
      row.left = rates_[i].time_for(*stage.total - stage.count);
    }
    rows.push_back(row);
  }
  // Before anything has begun, the first stage says that it goes on.
  if (rows.empty() && !stages.empty()) rows.push_back({&stages.front(), 0, std::nullopt});
  return rows;
}

std::string ProgressText::bars(flow::TimePoint now, std::size_t width) const {
  const std::deque<Row> all = rows();
  std::size_t name_width = 0;
  std::size_t count_width = 0;
  for (const Row& row : all) {
    name_width = std::max(name_width, row.stage->name.size());
    count_width = std::max(count_width, format_count(row.stage->count).size());
  }
  std::string text;
  for (const Row& row : all) {
    const flow::Stage& stage = *row.stage;
    std::string line = fmt::format("{:<{}}  {:>{}}", stage.name, name_width,
                                   format_count(stage.count), count_width);
    if (stage.total) {
      line +=
          fmt::format(" of {}  {} {:>5}", format_count(*stage.total), bar(stage), percent(stage));
    }
    if (row.per_second >= 1) line += fmt::format("  {}", rate_text(row.per_second));
    if (row.left) line += fmt::format("  {} left", format_duration(*row.left));
    if (&row == &all.back() && !row.left) {
      line += fmt::format(
          "  {}",
          format_duration(std::chrono::duration_cast<std::chrono::seconds>(now - started_)));
    }
    if (!text.empty()) text += '\n';
    text += truncated_to_width(line, width);
  }
  if (const auto wait = waiting(now); wait >= kShownWait) {
    text += '\n' + truncated_to_width(waiting_text(wait), width);
  }
  if (!traffic_.trouble.empty()) {
    text += '\n' + truncated_to_width(trouble_text(traffic_.trouble), width);
  }
  return text;
}

std::chrono::milliseconds ProgressText::waiting(flow::TimePoint now) const {
  if (traffic_.opens_at <= now) return {};
  return std::chrono::ceil<std::chrono::milliseconds>(traffic_.opens_at - now);
}

std::string ProgressText::line(flow::TimePoint now) const {
  std::string text;
  for (const Row& row : rows()) {
    const flow::Stage& stage = *row.stage;
    if (!text.empty()) text += ", ";
    text += fmt::format("{} {}", stage.name, format_count(stage.count));
    std::string more;
    const auto add = [&](std::string_view what) {
      more += fmt::format("{}{}", more.empty() ? "" : ", ", what);
    };
    if (stage.total) {
      text += fmt::format(" of {}", format_count(*stage.total));
      add(percent(stage));
    }
    if (row.per_second >= 1) add(rate_text(row.per_second));
    if (row.left) add(fmt::format("{} left", format_duration(*row.left)));
    if (!more.empty()) text += fmt::format(" ({})", more);
  }
  if (const auto wait = waiting(now); wait >= kShownWait) text += "; " + waiting_text(wait);
  if (!traffic_.trouble.empty()) text += "; " + trouble_text(traffic_.trouble);
  return text;
}

std::optional<ProgressText::Obstacle> ProgressText::obstacle(flow::TimePoint now) const {
  if (!traffic_.trouble.empty()) {
    return Obstacle{.cause = traffic_.trouble, .text = trouble_text(traffic_.trouble)};
  }
  const auto wait = waiting(now);
  if (wait < kShownWait) return std::nullopt;
  return Obstacle{.cause = "the rate budget", .text = waiting_text(wait)};
}

std::string ProgressText::event(flow::TimePoint now) const {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(now - started_).count();
  boost::json::object event{{"event", "progress"}, {"milliseconds", since}};
  // The counters by name, for a quick look; the stages for a display.
  for (const flow::Stage& stage : progress_.stages()) event[stage.name] = stage.count;
  boost::json::array stages;
  for (const Row& row : rows()) {
    boost::json::object stage{
        {"name", row.stage->name},
        {"count", row.stage->count},
        {"per_second", static_cast<std::int64_t>(std::llround(row.per_second))}};
    if (row.stage->total) stage["total"] = *row.stage->total;
    if (row.left) stage["seconds_left"] = row.left->count();
    stages.push_back(std::move(stage));
  }
  event["stages"] = std::move(stages);
  event["requests"] = traffic_.requests;
  event["retries"] = traffic_.retries;
  event["throttled"] = traffic_.throttled;
  event["waiting_milliseconds"] = waiting(now).count();
  if (!traffic_.trouble.empty()) event["trouble"] = printable(traffic_.trouble);
  return boost::json::serialize(event);
}

}  // namespace sluice::cli
