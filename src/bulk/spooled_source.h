// SpooledSource: the selected entries of a listing that repeats keys, each once and in key order.
#pragma once

#include <memory>

#include "bulk/list_source.h"
#include "bulk/listing_spool.h"
#include "bulk/source.h"

namespace sluice::bulk {

// The first `next` lists everything into a ListingSpool, beside the job's journal if it has one;
// after that the spool is listed. So nothing comes twice, a resumed job goes on exactly where it
// was, and its output is that of an uninterrupted run.
class SpooledSource : public Source {
 public:
  // `listing` gives what is selected, without the limit of `options`, which is kept here.
  SpooledSource(Job& job, std::unique_ptr<ListSource> listing, const SourceOptions& options);

  io::Task<Result<SourcePage>> next() override;
  io::Task<> close() override;
  [[nodiscard]] bool knows_metadata() const override { return true; }

 private:
  io::Task<Result<>> begin();
  io::Task<Result<>> collect();

  Job job_;  // its listing is in one piece
  std::unique_ptr<ListSource> listing_;
  Selection selection_;  // all of the spool, up to the limit
  SourceOptions options_;
  std::unique_ptr<ListingSpool> spool_;
  std::optional<ListSource> entries_;  // of the spool, once it is complete
  std::uint64_t listed_ = 0;           // by `collect`, until the first page tells of them
};

}  // namespace sluice::bulk
