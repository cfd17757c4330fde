// EraseWitness: is told what a deletion takes away.
#pragma once

#include "bulk/batch_call.h"
#include "store/block.h"

namespace sluice::bulk {

// For who has to do something about every entry that is deleted, and must not forget one. The
// entries come with the metadata that the store has. Batches may overlap.
class EraseWitness {
 public:
  virtual ~EraseWitness() = default;

  // The entries are about to be deleted. With an error they are not, and the run ends.
  virtual io::Task<Result<>> before(const store::Block& entries) = 0;
  // What became of them, before the journal counts it.
  virtual io::Task<Result<>> after(const store::Block& entries, const BatchOutcome& outcome) = 0;
  // Nothing more will be deleted in this run, which ended early if there is a reason. An error ends
  // the run early, so that the job can be resumed; it is then called again.
  virtual io::Task<Result<>> end(const Error* early) = 0;
};

}  // namespace sluice::bulk
