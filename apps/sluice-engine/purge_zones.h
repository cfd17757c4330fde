// The zones that a command is about, and at what rate their caches may be purged.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cdn/plan.h"
#include "cdn/zones.h"
#include "context.h"

namespace sluice::cli {

// What --zone names, lists taken apart; else CLOUDFLARE_ZONE_ID or the config file; else none.
[[nodiscard]] std::vector<std::string> named_zones(const Context& context,
                                                   const Invocation& invocation);

// A look at the zones through `connection`; of one account only if --account is given; helped by
// `cache`, if there is one.
[[nodiscard]] cdn::Zones zones_of(const Invocation& invocation,
                                  std::shared_ptr<store::cloudflare::Connection> connection,
                                  std::shared_ptr<store::AnswerCache> cache = nullptr);

// The plan that --plan names; none: that of each zone.
[[nodiscard]] std::optional<cdn::Plan> named_plan(const Invocation& invocation);

// "example.com, example.org and 3 more zones".
[[nodiscard]] std::string zone_names(std::span<const cdn::Zone> zones);

}  // namespace sluice::cli
