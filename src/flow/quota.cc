#include "flow/quota.h"

#include <algorithm>
#include <charconv>

#include "base/duration.h"
#include "flow/send_log.h"

namespace sluice::flow {

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

Pace pace_of(const Quota& quota) {
  const std::size_t margin =
      quota.requests >= 50 ? std::max<std::size_t>(1, quota.requests / 100) : 0;
  Pace pace{
      .requests = std::max<std::size_t>(1, quota.requests - margin),
      .span = quota.window + std::min<Duration>(quota.window / 400, std::chrono::milliseconds(100)),
      .slack = std::min<Duration>(quota.window / 25, Pace::most_slack)};
  constexpr std::size_t most = SendLog::entries - 1;
  if (pace.requests > most) {
    // A k-th of the requests in every k-th of the span keeps the whole, too.
    const std::size_t parts = (pace.requests + most - 1) / most;
    const auto divisor = static_cast<Duration::rep>(parts);
    pace.requests /= parts;
    pace.span = pace.span / divisor + Duration(1);
    pace.slack /= divisor;
  }
  return pace;
}

}  // namespace sluice::flow
