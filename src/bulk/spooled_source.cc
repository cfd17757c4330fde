#include "bulk/spooled_source.h"

#include <utility>

#include "bulk/job_log.h"

namespace sluice::bulk {

SpooledSource::SpooledSource(Job& job, std::unique_ptr<ListSource> listing,
                             const SourceOptions& options)
    : job_(job),
      listing_(std::move(listing)),
      options_{.selection = selection_,
               .keeps_order = true,
               .start = options.start,
               .selected_before = options.selected_before} {
  selection_.limit = options.selection.limit;
  job_.settings.partitions = {};
}

io::Task<Result<>> SpooledSource::begin() {
  auto spool = co_await ListingSpool::open(
      job_, job_.journal != nullptr ? job_.journal->listing_path() : "");
  if (!spool) co_return std::unexpected(spool.error());
  spool_ = std::move(*spool);
  if (!spool_->complete()) {
    if (auto collected = co_await collect(); !collected) co_return collected;
  }
  auto everything = Filter::compile(selection_);
  if (!everything) co_return std::unexpected(everything.error());
  entries_.emplace(job_, spool_->store(), std::move(*everything), std::nullopt, options_);
  co_return Result<>();
}

io::Task<Result<>> SpooledSource::collect() {
  flow::Stage& listed = job_.progress.stage("listed");
  for (bool end = false; !end;) {
    if (job_.stop.requested()) co_return std::unexpected(job_.stop.reason());
    auto page = co_await listing_->next();
    if (!page) co_return std::unexpected(page.error());
    end = page->after.end;
    listed_ += page->listed;
    listed.count += page->listed;
    if (auto put = co_await spool_->put(page->entries); !put) co_return put;
  }
  // The run counts them when it is given the first page.
  listed.count -= listed_;
  co_return co_await spool_->set_complete();
}

io::Task<Result<SourcePage>> SpooledSource::next() {
  if (!entries_) {
    if (auto begun = co_await begin(); !begun) co_return std::unexpected(begun.error());
  }
  auto page = co_await entries_->next();
  if (page) page->listed = std::exchange(listed_, 0);
  co_return page;
}

io::Task<> SpooledSource::close() {
  co_await listing_->close();
  if (entries_) co_await entries_->close();
}

}  // namespace sluice::bulk
