#include "flow/quota.h"

#include <algorithm>
#include <charconv>

#include "base/duration.h"

namespace sluice::flow {

namespace {

// Two in a hundred, and never more than the quota leaves.
std::size_t with_margin(std::size_t requests) {
  const std::size_t margin = requests >= 50 ? requests / 50 : 0;
  return std::max<std::size_t>(1, requests - margin);
}

}  // namespace

Result<Quota> parse_quota(std::string_view text) {
  const std::size_t slash = text.find('/');
  std::uint64_t requests = 0;
  const auto count = text.substr(0, slash);
  const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), requests);
  if (slash == std::string_view::npos || error != std::errc() ||
      end != count.data() + count.size() || requests == 0 || requests > 1'000'000'000) {
    return fail(ErrorCode::invalid_argument,
                "\"{}\" is not a rate: write requests per time, such as 1200/5m or 4/s", text);
  }
  // "4/s" is short for "4/1s".
  std::string window(text.substr(slash + 1));
  if (!window.empty() && (window.front() < '0' || window.front() > '9')) window.insert(0, "1");
  const auto duration = parse_duration(window);
  // Longer windows are a slip, and would not fit the clock.
  if (!duration || duration->count() <= 0 || *duration > std::chrono::hours(24 * 31)) {
    return fail(
        ErrorCode::invalid_argument,
        "\"{}\" is not a rate: the time after the slash is one like s, 10s or 5m, at most a month",
        text);
  }
  return Quota{static_cast<std::size_t>(requests), *duration};
}

SlidingWindow::SlidingWindow(Quota quota) {
  set_quota(quota);
}

void SlidingWindow::set_quota(Quota quota) {
  quota_ = quota;
  limit_ = with_margin(quota.requests);
  // A request may take longer to the server than the one a window before it: 1 % of the window, at
  // most half a second, absorbs that.
  span_ = quota.window + std::min<Duration>(quota.window / 100, std::chrono::milliseconds(500));
  while (sends_.size() > limit_) sends_.pop_front();
}

TimePoint SlidingWindow::next(TimePoint now) const {
  if (sends_.size() < limit_) return now;
  return std::max(now, sends_.front() + span_);
}

void SlidingWindow::record(TimePoint now) {
  sends_.push_back(now);
  if (sends_.size() > limit_) sends_.pop_front();
}

}  // namespace sluice::flow
