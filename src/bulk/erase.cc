#include "bulk/erase.h"

#include <memory>
#include <utility>

#include "bulk/source.h"
#include "bulk/spool.h"

namespace sluice::bulk {

namespace {

class Eraser {
 public:
  Eraser(Job& job, store::Store& store, const EraseOptions& options)
      : run_(job, "deleted"),
        store_(store),
        options_(options),
        batches_(run_, store, options.witness) {}

  io::Task<Report> erase() {
    if (!options_.selection.selects_something() && !options_.selection.all) {
      run_.end_early(
          {ErrorCode::invalid_argument, Retry::never, std::nullopt,
           "nothing is selected: name what to delete (--prefix, --search, --keys-file …), or "
           "--all-keys for everything"});
      co_return run_.finish();
    }
    // What was collected and confirmed once is the work, whatever is asked for now.
    // A limit, too, needs to be met by the same keys after a crash: those that are gone do not come
    // from the listing again, and others would be deleted in their place.
    if (run_.start().spooled || options_.guard.stands() || options_.selection.limit) {
      co_await erase_by_spool();
    } else if (auto source = open_listing()) {
      // A listing that the job has collected (see SpooledSource) gives the resumed one all keys
      // again, also those that are gone.
      const bool listed_anew = (*source)->knows_metadata() && !store_.capabilities().repeats_keys;
      if (listed_anew) run_.done_is_gone();
      co_await batches_.erase_all(**source);
    } else {
      run_.end_early(source.error());
    }
    if (options_.witness != nullptr) {
      const Error* const early = run_.ended_early();
      if (auto ended = co_await options_.witness->end(early); !ended) {
        run_.end_early(ended.error());
        run_.keep_resumable();
      }
    }
    co_return run_.finish();
  }

 private:
  // From where a resumed job was, or from the beginning.
  Result<std::unique_ptr<Source>> open_listing() {
    const Checkpoint& start = run_.start();
    return open_source(run_.job(), store_,
                       {.selection = options_.selection,
                        .metadata = options_.witness != nullptr,
                        .asks_for_few = true,
                        .values = false,
                        .start = start.position,
                        .page_keys = batches_.batch_size(),
                        .selected_before = start.counts.selected});
  }

  io::Task<> erase_by_spool() {
    auto place = SpoolPlace::make(run_.job());
    if (!place) {
      run_.end_early(place.error());
      co_return;
    }
    if (!run_.start().spooled && !co_await collect(place->path())) co_return;
    // One batch a page.
    if (auto source = open_spool(place->path(), run_.start().position, batches_.batch_size())) {
      co_await batches_.erase_all(**source);
    } else {
      run_.end_early(source.error());
    }
  }

  // Lists everything first. True if the deletion may begin.
  io::Task<bool> collect(std::string path) {
    auto spool = SpoolWriter::create(path, options_.witness != nullptr);
    // A listing that was cut off is begun anew: only a complete spool counts.
    auto source = open_listing();
    if (!spool || !source) {
      run_.end_early(!spool ? spool.error() : source.error());
      co_return false;
    }
    flow::Stage& listed = run_.job().progress.stage("listed");
    flow::Stage& matched = run_.job().progress.stage("matched");
    Counts found;
    for (bool end = false; !end && !run_.ending();) {
      auto page = co_await (*source)->next();
      if (!page) {
        run_.end_early(page.error());
        break;
      }
      end = page->after.end;
      found += {.listed = page->listed, .selected = page->entries.size()};
      listed.count += page->listed;
      matched.count += page->entries.size();
      if (auto appended = spool->append(page->entries); !appended) run_.end_early(appended.error());
    }
    co_await (*source)->close();
    if (run_.ending()) co_return false;
    if (auto finished = spool->finish(); !finished) {
      run_.end_early(finished.error());
      co_return false;
    }
    if (auto passed = co_await options_.guard.pass(found.selected); !passed) {
      run_.end_refused(passed.error());
      co_return false;
    }
    if (auto begun = run_.begin_from_spool(found); !begun) {
      run_.end_early(begun.error());
      co_return false;
    }
    co_return true;
  }

  JobRun run_;
  store::Store& store_;
  const EraseOptions& options_;
  EraseBatches batches_;
};

}  // namespace

io::Task<Report> erase(Job& job, store::Store& store, EraseOptions options) {
  Eraser eraser(job, store, options);
  co_return co_await eraser.erase();
}

}  // namespace sluice::bulk
