// RateLimit: Cloudflare's budget of requests, as a policy.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "flow/quota.h"

namespace sluice::server {

// So many requests in a window, for each credential by itself; a window begins with the first
// request after the one before has ended. The first request past the quota blocks everything of
// that credential for the length of a window, as Cloudflare does for five minutes.
//
// Pure (told the time), thread-safe, one for all loops of a server: a call takes a lock for about a
// hash look-up. Of very many credentials those asked for longest ago are forgotten.
class RateLimit {
 public:
  using TimePoint = flow::TimePoint;
  static constexpr std::size_t kMostCredentials = 10'000;

  explicit RateLimit(const flow::Quota& quota, std::size_t most_credentials = kMostCredentials)
      : quota_(quota), most_(most_credentials) {}

  // Where a credential stands.
  struct Standing {
    bool blocked = false;
    std::uint64_t left = 0;         // requests in this window
    std::chrono::seconds reset{0};  // until the window, or the block, ends: rounded up
  };
  // Counts a request.
  Standing count(std::string_view credential, TimePoint now);
  // Does not count.
  [[nodiscard]] Standing look(std::string_view credential, TimePoint now) const;

  // The values of the headers, in the form of the draft that Cloudflare follows:
  // `"default";r=50;t=30` and `"default";q=1200;w=300`.
  [[nodiscard]] static std::string header(const Standing& standing);
  [[nodiscard]] std::string policy_header() const;

 private:
  struct Window {
    std::string credential;
    TimePoint ends;
    std::uint64_t used = 0;
    bool blocked = false;
  };
  [[nodiscard]] Standing standing(const Window& window, TimePoint now) const;

  const flow::Quota quota_;
  const std::size_t most_;
  mutable std::mutex mutex_;
  std::list<Window> windows_;  // the last one counted first
  std::unordered_map<std::string_view, std::list<Window>::iterator> by_credential_;
};

}  // namespace sluice::server
