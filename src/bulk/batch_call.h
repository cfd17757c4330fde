// run_batch: makes a store call on a batch until each of its entries is done or has failed for a
// reason of its own.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "bulk/job_run.h"
#include "flow/batcher.h"
#include "store/store.h"

namespace sluice::bulk {

// A store call on the entries of a batch with the given indices. The failures it returns bear those
// indices.
using BatchCall = std::function<io::Task<Result<std::vector<store::KeyFailure>>>(
    std::span<const std::size_t> which)>;

// How many changing calls may be under way at the same time. A local store makes one after the
// other, whatever it is asked: one is made while the next batch is collected, and more would only
// take memory.
[[nodiscard]] inline std::size_t changes_at_once(const store::Store& store,
                                                 const JobSettings& settings) {
  return store.capabilities().remote ? settings.concurrency : 1;
}

struct BatchOutcome {
  std::vector<Ending> endings;             // one for each entry: open, done or failed
  std::vector<store::KeyFailure> reasons;  // of the failed ones
  std::optional<Error> ended;              // why entries are left open: the run has to end
};

// Calls `call` on entries 0 … `entries` - 1. A batch that is refused for its size goes again in two
// halves (and `size` remembers); one that fails for another reason does too, down to the single
// key, which then has failed with that reason. Keys that the answer names as failed for now are
// tried again by themselves. A stop, an error that is fatal for the run, and a service that refuses
// one call after the other end the batch with entries left open.
io::Task<BatchOutcome> run_batch(Job& job, flow::BatchSize& size, std::size_t entries,
                                 const BatchCall& call);

}  // namespace sluice::bulk
