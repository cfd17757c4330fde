#include "flow/progress.h"

#include <cmath>

namespace sluice::flow {

Stage& Progress::stage(std::string_view name) {
  for (Stage& stage : stages_) {
    if (stage.name == name) return stage;
  }
  return stages_.emplace_back(Stage{std::string(name), 0, std::nullopt});
}

void RateEstimate::sample(std::uint64_t count, TimePoint now) {
  if (!started_ || count < count_) {  // a count that falls is another count
    started_ = true;
    count_ = count;
    at_ = moved_at_ = now;
    return;
  }
  const double seconds = std::chrono::duration<double>(now - at_).count();
  if (seconds <= 0) return;
  const double latest = static_cast<double>(count - count_) / seconds;
  const double weight = rated_ ? 1.0 - std::exp(-seconds / constant_) : 1.0;
  rate_ += weight * (latest - rate_);
  rated_ = true;
  if (count > count_) moved_at_ = now;
  count_ = count;
  at_ = now;
}

std::optional<std::chrono::seconds> RateEstimate::time_for(std::uint64_t left) const {
  const double still = std::chrono::duration<double>(at_ - moved_at_).count();
  if (rate_ <= 0 || still > constant_) return std::nullopt;
  const double seconds = static_cast<double>(left) / rate_;
  if (seconds > 3600.0 * 24 * 365) return std::nullopt;
  return std::chrono::seconds(static_cast<std::int64_t>(std::ceil(seconds)));
}

}  // namespace sluice::flow
