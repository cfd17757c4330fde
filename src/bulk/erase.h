// erase: deletes the selected entries of a store.
#pragma once

#include "bulk/erase_batches.h"
#include "bulk/job.h"
#include "bulk/selection.h"
#include "store/store.h"

namespace sluice::bulk {

struct EraseOptions {
  Selection selection;
  EraseGuard guard;
  EraseWitness* witness = nullptr;  // then the metadata of every selected entry is read, too
};

// Deletes what the selection names; a selection that names nothing is refused. Deletions run while
// the listing goes on. With a guard, the matched keys are first collected in the
// job's spool file, and deletion starts when their number is known, without a second listing.
//
// Costs, against a remote store of N keys of which M match: N / list_page requests to list, plus
// M / erase_keys to delete. Memory does not grow with N.
io::Task<Report> erase(Job& job, store::Store& store, EraseOptions options);

}  // namespace sluice::bulk
