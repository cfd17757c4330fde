// stats: counts what a store holds.
#pragma once

#include <cstdint>
#include <optional>

#include "bulk/job.h"
#include "bulk/selection.h"
#include "store/store.h"

namespace sluice::bulk {

struct Stats {
  std::uint64_t entries = 0;
  std::uint64_t key_bytes = 0;
  std::optional<std::uint64_t>
      value_bytes;  // none: the store would have to be asked for every value
  std::uint64_t metadata_bytes = 0;
  std::uint64_t with_metadata = 0;
  std::uint64_t with_expiration = 0;
};

struct StatsOptions {
  Selection selection;
  bool values = false;  // fetch the values where the listing does not give their sizes
};

// Lists the selected entries and adds up. The numbers in the report are only complete if it is.
io::Task<Report> stats(Job& job, store::Store& store, StatsOptions options, Stats& stats);

}  // namespace sluice::bulk
