// stream_values: the entries of a source with their values, in the source's order.
#pragma once

#include <functional>
#include <vector>

#include "bulk/batch_call.h"
#include "bulk/job_run.h"
#include "bulk/source.h"

namespace sluice::bulk {

// Consecutive entries of a source. Those whose ending is `open` are here with their values and
// await their end; the others are not: gone meanwhile (skipped), or not to be had (failed).
struct ValueBatch {
  std::vector<store::EntryView> entries;
  std::vector<Ending> endings;
  std::vector<store::KeyFailure> reasons;
  std::vector<PageRun> pages;
  // Hold what the entries refer to.
  std::vector<store::Block> blocks;
};

// Takes one batch after the other. An error ends the run.
using ValueSink = std::function<io::Task<Result<>>(ValueBatch& batch)>;

// Fetches the values of all entries of `source` (several calls at a time, within the bytes that may
// be in flight) and hands them to `sink` in the order of the source. With `exact`, each value byte
// for byte. The sink settles the entries. Ends, early if need be, with nothing under way.
io::Task<> stream_values(JobRun& run, store::Store& store, Source& source, bool exact,
                         const ValueSink& sink);

}  // namespace sluice::bulk
