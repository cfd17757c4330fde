// hash_values: what the values of some entries are, without keeping them.
#pragma once

#include <optional>
#include <vector>

#include "bulk/job.h"
#include "bulk/key_set.h"
#include "store/store.h"

namespace sluice::bulk {

// Fetches the values of `entries` and returns their 128-bit XXH3 hashes, in the same order; none
// where the entry is gone or its value cannot be had. As quick, and within the same memory, as an
// export. An error concerns the whole run.
io::Task<Result<std::vector<std::optional<KeySet::Hash>>>> hash_values(Job job, store::Store& store,
                                                                       const store::Block& entries,
                                                                       bool exact);

}  // namespace sluice::bulk
