// PurgeApi: Cloudflare's call that purges a cache.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "cdn/plan.h"
#include "cdn/purge_item.h"
#include "cdn/zone.h"
#include "store/cloudflare/connection.h"

namespace sluice::cdn {

// POST /zones/{zone}/purge_cache. Every request passes the connection's gate, with the allowance of
// the zone's plan, and is repeated by its retry policy: purging twice is harmless. Belongs to one
// loop.
class PurgeApi {
 public:
  // `plan`: of all zones, whatever they say. Else a zone that does not say is taken to have the
  // plan free; at other addresses than Cloudflare's own, no limit but those that answers tell.
  explicit PurgeApi(std::shared_ptr<store::cloudflare::Connection> connection,
                    std::optional<Plan> plan = {});

  // The plan to whose rate the zone's purges keep; none: to no rate.
  [[nodiscard]] std::optional<Plan> plan_of(const Zone& zone) const;
  // Items of one call for this zone, at most.
  [[nodiscard]] std::size_t most_items(const Zone& zone, PurgeKind kind) const;

  struct Call {
    PurgeKind kind = PurgeKind::everything;
    std::span<const std::string_view> items = {};  // checked
    // It is a part of a batch that has failed, and so taken at its word sooner.
    bool part = false;
    std::uint64_t* sent = nullptr;  // counts the requests
  };
  // Succeeds only when the service has said so. HTTP 200 with "success": false is a failure: tried
  // again twice, since it may pass, and then final (Retry::never).
  io::Task<Result<>> purge(const Zone& zone, Call call);

  [[nodiscard]] store::WireStats wire_stats() const { return connection_->wire_stats(); }

 private:
  // Of calls that carry URLs, and of others, by plan.
  using Allowances = std::array<flow::Allowance, 4>;

  std::shared_ptr<store::cloudflare::Connection> connection_;
  std::optional<Plan> plan_;
  Allowances of_files_;
  Allowances of_others_;
};

}  // namespace sluice::cdn
