// sync: makes the selected entries of one store equal to those of another.
#pragma once

#include <cstdint>
#include <optional>

#include "bulk/erase_batches.h"
#include "bulk/job.h"
#include "bulk/selection.h"
#include "store/store.h"

namespace sluice::bulk {

struct SyncOptions {
  Selection selection;    // nothing selected: everything
  bool erase = false;     // delete what only `to` has
  bool checksum = false;  // compare values, too; without it metadata and expiry are compared
  bool exact = false;     // fetch every value singly, byte for byte
  EraseGuard guard;       // stands before the first deletion
};

struct SyncReport {
  Report report;
  MergeFindings found;  // by the merge, up to where it came
  // Of report.counts.done; the rest was written. None: no deletion was begun.
  std::optional<std::uint64_t> deleted;
};

// Refuses what sync would refuse, before anything is asked of the stores.
Result<> check_sync(const SyncOptions& options, const Partitions& partitions,
                    const store::Capabilities& from, const store::Capabilities& to);

// Merges the listings of both stores in key order (a store whose listing has no order is collected
// in a temporary file first), and writes what `to` lacks or has otherwise: value, metadata and
// expiry. Writing overlaps listing. With `erase`, the keys that only `to` has are collected
// meanwhile, and deleted only when both listings have come to their ends and everything has been
// written: a listing or a write that failed deletes nothing, and neither does a source in which
// there is nothing at all (unless the guard names how many may go). A resumed sync goes on where it
// was; one that deletes compares both stores anew, since its list of keys may be days old.
//
// An entry that expires sooner than `to` takes it is passed over: by the time of the next sync it
// is gone.
//
// Costs, against remote stores of N keys each of which M differ: the two listings, M / get_keys
// requests for values and M / put_entries to write; with `checksum`, N / get_keys for each side.
io::Task<SyncReport> sync(Job& job, store::Store& from, store::Store& to, SyncOptions options);

}  // namespace sluice::bulk
