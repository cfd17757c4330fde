// PutBatches: writes a stream of entries to a store in batches.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bulk/batch_call.h"
#include "bulk/byte_budget.h"
#include "bulk/job_run.h"
#include "bulk/value_stream.h"
#include "flow/batcher.h"
#include "io/task_group.h"
#include "store/store.h"

namespace sluice::bulk {

// Collects entries until one more would go beyond what the store takes in one call, by count or by
// bytes, and writes several batches at a time within the bytes that may be in flight. Settles the
// entries with the run.
//
// Guarantee: when a key comes twice, the later entry stays, as if all were written one by one.
// Within a batch the store sees to it; two batches that hold the same key are never under way
// together, and the earlier one is settled before the later one is begun: what is ahead of the
// watermark (see there) never makes a resumed job put an earlier entry of a key after a later one.
class PutBatches {
 public:
  PutBatches(JobRun& run, store::Store& store);

  // Takes a copy of `entry`, which belongs to page `page` of the run. `from` and `to` are the
  // places of the source between which it lies alone, but for what has ended before (see Stretch);
  // or both empty. May wait until earlier batches have ended. After the run has begun to end,
  // entries are passed over and stay open. What the arguments refer to stays valid until the task
  // has ended.
  io::Task<> add(const store::EntryView& entry, std::uint64_t page, std::string_view from,
                 std::string_view to);
  // Whether `add` would begin no new batch, and so would not wait.
  [[nodiscard]] bool has_room(const store::EntryView& entry) const;
  // The same as add, without waiting. Requires has_room(entry).
  void append(const store::EntryView& entry, std::uint64_t page, std::string_view from,
              std::string_view to);
  // How many entries a batch carries at most, for now.
  [[nodiscard]] std::size_t batch_limit() const { return size_.limit(); }

  // Takes the entries of a batch that have come with their values, and settles the others. A sink
  // for stream_values.
  io::Task<Result<>> take(ValueBatch& batch);

  // Sends what has been collected, and waits until everything has ended.
  io::Task<> finish();

 private:
  struct Batch {
    store::Block entries;
    std::vector<PageRun> pages;
    std::vector<std::uint64_t> hashes;  // of the keys, where order has to be kept
  };

  void move_to(std::uint64_t page, std::string_view key);
  io::Task<> send();
  io::Task<> put(Batch batch, std::size_t bytes);
  [[nodiscard]] bool clashes(const Batch& batch) const;

  JobRun& run_;
  store::Store& store_;
  flow::BatchSize size_;
  flow::Batcher batcher_;
  Batch batch_;
  // Of the source of values: the page taken last, whether its entries come in the order of keys,
  // and the place behind the last one of them.
  std::optional<std::uint64_t> page_;
  bool ordered_ = false;
  std::string from_;
  std::string to_;
  ByteBudget budget_;
  // The keys of the batches under way, by hash, with how many batches hold each.
  std::unordered_map<std::uint64_t, int> under_way_;
  io::Event ended_;
  io::TaskGroup group_;
};

}  // namespace sluice::bulk
