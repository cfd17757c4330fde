#include "server/rate_limit.h"

#include <fmt/format.h>

namespace sluice::server {

RateLimit::Standing RateLimit::count(std::string_view credential, TimePoint now) {
  const std::lock_guard lock(mutex_);
  auto found = by_credential_.find(credential);
  if (found == by_credential_.end()) {
    if (windows_.size() >= most_) {
      by_credential_.erase(windows_.back().credential);
      windows_.pop_back();
    }
    windows_.push_front({std::string(credential), now + quota_.window});
    found = by_credential_.emplace(windows_.front().credential, windows_.begin()).first;
  } else {
    windows_.splice(windows_.begin(), windows_, found->second);
  }
  Window& window = *found->second;
  if (now >= window.ends) {
    window.ends = now + quota_.window;
    window.used = 0;
    window.blocked = false;
  }
  if (!window.blocked && window.used++ >= quota_.requests) {
    window.blocked = true;
    window.ends = now + quota_.window;
  }
  return standing(window, now);
}

RateLimit::Standing RateLimit::look(std::string_view credential, TimePoint now) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_credential_.find(credential);
  if (found == by_credential_.end()) {
    return {false, quota_.requests, std::chrono::ceil<std::chrono::seconds>(quota_.window)};
  }
  return standing(*found->second, now);
}

RateLimit::Standing RateLimit::standing(const Window& window, TimePoint now) const {
  if (now >= window.ends) {
    return {false, quota_.requests, std::chrono::ceil<std::chrono::seconds>(quota_.window)};
  }
  return {window.blocked, window.used < quota_.requests ? quota_.requests - window.used : 0,
          std::chrono::ceil<std::chrono::seconds>(window.ends - now)};
}

std::string RateLimit::header(const Standing& standing) {
  return fmt::format(R"("default";r={};t={})", standing.left, standing.reset.count());
}

std::string RateLimit::policy_header() const {
  return fmt::format(R"("default";q={};w={})", quota_.requests,
                     std::chrono::ceil<std::chrono::seconds>(quota_.window).count());
}

}  // namespace sluice::server
