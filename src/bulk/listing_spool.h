// ListingSpool: a listing collected on disk, in the order of its keys, each key once.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "bulk/job.h"
#include "io/temporary.h"
#include "store/store.h"

namespace sluice::bulk {

// A store whose listing has no order, or repeats keys (Redis's SCAN does both), is collected here
// before the work begins: an embedded store in a file of its own, which is then listed instead. The
// entries have key, metadata and expiry, and no value. Takes disk instead of memory.
//
// A file that a job keeps beside its journal (`path`) is taken over by the resumed job if it was
// complete, and begun anew if not; one without a path lies in the temporary folder and goes with
// the object.
class ListingSpool {
 public:
  static io::Task<Result<std::unique_ptr<ListingSpool>>> open(Job& job, std::string path);
  ListingSpool(const ListingSpool&) = delete;
  ListingSpool& operator=(const ListingSpool&) = delete;

  // Whether everything has been collected.
  [[nodiscard]] bool complete() const { return complete_; }
  io::Task<Result<>> put(const store::Block& entries);
  io::Task<Result<>> set_complete();
  // The collected entries.
  [[nodiscard]] store::Store& store() { return *store_; }

 private:
  ListingSpool() = default;
  io::Task<Result<>> begin(Job& job, std::string path);

  std::optional<io::TemporaryFolder> temporary_;  // goes last
  std::shared_ptr<store::Backend> backend_;
  std::unique_ptr<store::Store> store_;
  bool complete_ = false;
};

}  // namespace sluice::bulk
