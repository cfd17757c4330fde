// purge: purges what a spool holds, batch by batch, side by side over zones.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bulk/job.h"
#include "cdn/item_spool.h"
#include "cdn/purge_api.h"

namespace sluice::cdn {

struct PurgePlan {
  PurgeKind kind = PurgeKind::tags;
  std::vector<Zone> zones;
  std::optional<std::size_t>
      batch_size{};             // items of one call; what the zone's plan allows caps it
  bool dry_run = false;         // count, and send nothing
  std::string done = "purged";  // the stage of the progress
};

// What became of the items of one zone.
struct ZoneResult {
  Zone zone;
  std::uint64_t items = 0;  // that were due; 1 for everything
  std::uint64_t purged = 0;
  std::uint64_t failed = 0;    // refused one by one
  std::uint64_t requests = 0;  // sent; of a dry run: that would be
  std::optional<Error> ended;  // why the rest was not purged

  // Neither purged nor refused.
  [[nodiscard]] std::uint64_t open() const { return items - purged - failed; }
};

struct PurgeReport {
  std::vector<ZoneResult> zones;
  std::vector<bulk::FailureReason> reasons;  // most frequent first
  std::string failure_file;                  // what was not purged, as --from takes it; or empty

  [[nodiscard]] std::uint64_t items() const;
  [[nodiscard]] std::uint64_t purged() const;
  [[nodiscard]] std::uint64_t failed() const;
  [[nodiscard]] std::uint64_t left() const { return items() - purged(); }
  // Why a zone was not finished; the first of them.
  [[nodiscard]] const Error* ended() const;
};

// 0 when all is purged, 3 when some items failed, else the code of what ended a zone.
[[nodiscard]] ExitCode exit_code(const PurgeReport& report);

// Purges what is due in `spool`, several calls at a time. A batch that keeps failing is halved down
// to the item, which then has failed with that reason. A zone that refuses everything ends; the
// others go on. What is not purged in the end stays in the spool, and is written to
// job.failure_path.
//
// Costs one request for each `batch_size` items of a zone. Memory does not grow with the items.
io::Task<PurgeReport> purge(bulk::Job& job, PurgeApi& api, ItemSpool& spool, PurgePlan plan);

// Purges everything of the zones.
io::Task<PurgeReport> purge_everything(bulk::Job& job, PurgeApi& api, std::vector<Zone> zones,
                                       bool dry_run);

}  // namespace sluice::cdn
