#include "tests/cloudflare/rate_limit.h"

#include <algorithm>
#include <charconv>

namespace sluice::cloudflare_fake {

std::optional<std::chrono::seconds> RateLimit::count(Clock::time_point now) {
  if (!enabled()) return std::nullopt;
  if (now >= window_start_ + options_.window) {
    const auto passed = (now - window_start_) / options_.window;
    window_start_ += passed * options_.window;
    used_ = 0;
  }
  if (now < blocked_until_) {
    return std::chrono::ceil<std::chrono::seconds>(blocked_until_ - now);
  }
  if (used_ < options_.requests) {
    ++used_;
    return std::nullopt;
  }
  blocked_until_ = now + options_.block;
  return options_.block;
}

std::string RateLimit::header(Clock::time_point now) const {
  if (!enabled() || !options_.headers) return {};
  const auto left = std::chrono::ceil<std::chrono::seconds>(window_start_ + options_.window - now);
  return fmt::format(R"("default";r={};t={})", options_.requests - used_, left.count());
}

std::string RateLimit::policy_header() const {
  if (!enabled() || !options_.headers) return {};
  return fmt::format(R"("default";q={};w={})", options_.requests, options_.window.count());
}

Result<RateLimit::Options> parse_rate_limit(std::string_view text) {
  const auto malformed = [&] {
    return fail(ErrorCode::invalid_argument,
                "{} is not a rate limit; write requests/window, as in 1200/5m or 50/s.", text);
  };
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return malformed();
  RateLimit::Options options;
  const auto number = std::from_chars(text.data(), text.data() + slash, options.requests);
  if (number.ec != std::errc{} || number.ptr != text.data() + slash || options.requests == 0) {
    return malformed();
  }
  std::string_view window = text.substr(slash + 1);
  std::int64_t seconds = 1;
  if (window.empty()) return malformed();
  if (window.back() == 'm') {
    seconds = 60;
    window.remove_suffix(1);
  } else if (window.back() == 's') {
    window.remove_suffix(1);
  }
  std::int64_t count = 1;
  if (!window.empty()) {
    const auto length = std::from_chars(window.data(), window.data() + window.size(), count);
    if (length.ec != std::errc{} || length.ptr != window.data() + window.size() || count <= 0) {
      return malformed();
    }
  }
  options.window = options.block = std::chrono::seconds(count * seconds);
  return options;
}

}  // namespace sluice::cloudflare_fake
