// copy: puts the selected entries of one store into another.
#pragma once

#include "bulk/job.h"
#include "bulk/selection.h"
#include "store/store.h"

namespace sluice::bulk {

struct CopyOptions {
  Selection selection;  // nothing selected: everything
  bool exact = false;   // fetch every value singly, byte for byte
};

// Copies value, metadata (byte for byte) and expiry of every selected entry of `from` to `to`; what
// else `to` holds stays. Listing, fetching and writing overlap. An entry that is gone before its
// value is fetched counts as skipped; one that `to` refuses (its key too long there, its expiry too
// near) has failed.
io::Task<Report> copy(Job& job, store::Store& from, store::Store& to, CopyOptions options);

}  // namespace sluice::bulk
