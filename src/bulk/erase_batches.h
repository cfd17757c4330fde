// EraseBatches: deletes what a source gives, and asks before it begins.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "bulk/erase_witness.h"
#include "bulk/job_run.h"
#include "bulk/source.h"
#include "flow/batcher.h"
#include "io/task_group.h"
#include "store/store.h"

namespace sluice::bulk {

// What stands before the first deletion, once the exact number of keys is known.
struct EraseGuard {
  // Fails when more would go.
  std::optional<std::uint64_t> max_delete;
  // Asked once. An error ends the run with nothing deleted.
  std::function<io::Task<Result<>>(std::uint64_t keys)> confirm;

  [[nodiscard]] bool stands() const { return max_delete.has_value() || confirm != nullptr; }
  // Fails unless `keys` keys may be deleted.
  io::Task<Result<>> pass(std::uint64_t keys) const;
};

// Deletes in batches of the store's size, several at a time. Settles the entries with the run. A
// witness, if there is one, is told of every batch, with the metadata that the source gives; it
// outlives this.
class EraseBatches {
 public:
  EraseBatches(JobRun& run, store::Store& store, EraseWitness* witness = nullptr);

  // Keys of one call, at most.
  [[nodiscard]] std::size_t batch_size() const { return size_.limit(); }
  // Ends, early if need be, with nothing under way and the source closed.
  io::Task<> erase_all(Source& source);

 private:
  struct Batch {
    store::Block keys;  // with metadata for a witness
    std::vector<PageRun> pages;
  };
  io::Task<> send(Batch& batch);
  io::Task<> erase_batch(Batch batch);
  void commit();

  JobRun& run_;
  store::Store& store_;
  EraseWitness* witness_;
  flow::BatchSize size_;
  io::TaskGroup group_;
};

}  // namespace sluice::bulk
