// What a run of `sluice purge` tells at its end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cdn/purge.h"
#include "context.h"

namespace sluice::cli {

// What was asked, and what became of it.
struct PurgeOutcome {
  cdn::PurgeKind kind = cdn::PurgeKind::everything;
  bool dry_run = false;
  std::uint64_t given = 0;     // items, of which
  std::uint64_t distinct = 0;  // so many are different
  std::vector<cdn::Zone> zones;
  cdn::PurgeReport report;
  // Of each zone of the report, if it is known.
  std::vector<std::optional<cdn::Plan>> plans;
  double seconds = 0;
  store::WireStats wire;
};

// "12 tags", "1 tag", "everything".
[[nodiscard]] std::string purge_amount(cdn::PurgeKind kind, std::uint64_t items);

// Tells it to people, what failed and how to purge just that; with --json, an object on stdout.
void tell_purge(Context& context, const Invocation& invocation, const PurgeOutcome& outcome);

}  // namespace sluice::cli
