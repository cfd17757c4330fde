// JobRun: the bookkeeping that all bulk operations share while they run.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "bulk/failure_file.h"
#include "bulk/job.h"
#include "bulk/job_log.h"
#include "bulk/position.h"
#include "store/store.h"

namespace sluice::bulk {

// What became of one entry of a batch.
enum class Ending : std::uint8_t {
  open,  // not known: the run ended before it was its turn, or in the middle of it
  done,
  failed,
  skipped,
};

// Counts what ends, keeps the watermark, writes checkpoints and failed keys, remembers why the run
// ends early, and makes the report. One for each run of an operation.
class JobRun {
 public:
  // A resumed job goes on where it was, or begins anew: its checkpoint is then not believed.
  enum class Begin : std::uint8_t { where_it_was, anew };
  // `verb` names the last stage of the progress: "deleted".
  JobRun(Job& job, std::string_view verb, Begin begin = Begin::where_it_was);

  // Where the source has to begin: the position of the checkpoint, if the job was resumed.
  [[nodiscard]] const Checkpoint& start() const { return start_; }

  // What is done does not come from the source again when the job is resumed (a listing does not
  // show deleted keys): it is counted in the checkpoint even where the watermark has not passed it.
  void done_is_gone() { done_is_gone_ = true; }

  // The source has given a page. Returns its number. With a `stretch` (see Watermark), what ends of
  // it before its turn need not be done again by a resumed job.
  std::uint64_t open_page(Position after, std::uint64_t listed, std::uint64_t selected,
                          Stretch stretch = {});
  // Entries of a page have ended: all of its `stretch`, if there is one.
  void settle(std::uint64_t page, const Counts& ended, std::vector<FailedKey> failed = {},
              const Stretch& stretch = {});
  // The part of the source that an open page is.
  [[nodiscard]] const Stretch& stretch(std::uint64_t page) const {
    return watermark_.stretch(page);
  }
  // A batch has ended in part, and the run with it: what it had twice may have been done out of
  // order, so nothing more is taken to be ahead.
  void hold_ahead() { watermark_.hold_ahead(); }

  // Remembers a key that was skipped, for the report; only the first few.
  void note_skipped(std::string_view key);

  // Moves the watermark over what has ended. `output_bytes` is the length of the output up to the
  // entries that have ended; so call it after each `settle` when there is an output file, lest a
  // checkpoint count entries of a page that has not ended.
  void advance(std::uint64_t output_bytes = 0);
  // Writes the failed keys and then the checkpoint, if the watermark has moved. With an output
  // file, only after what was counted has been written to it. At intervals the journal is synced;
  // `sync_output` is called before that.
  Result<> save(const std::function<Result<>()>& sync_output = nullptr);
  // Both, for an operation without an output file.
  Result<> commit() {
    advance();
    return save();
  }

  // The matched keys are in the spool file: from here on it is the source. `found` (listed,
  // selected) is what was seen to fill it; the progress has counted it already, and so the pages of
  // the spool are not counted again.
  Result<> begin_from_spool(const Counts& found);

  // The output could not be written: only what the last `save` spoke of is there.
  void forget_unsaved() { counts_ = saved_counts_; }

  // The run ends: nothing new is begun. The first reason stays.
  void end_early(Error reason);
  // The run ends at what stood before its work (EraseGuard): the job is not to be resumed.
  void end_refused(Error reason) {
    end_early(std::move(reason));
    refused_ = true;
  }
  // Whether to begin nothing new.
  [[nodiscard]] bool ending() const { return ended_early_.has_value() || job_.stop.requested(); }

  // Something is left to do even if nothing was counted: the job can be resumed, however it ended.
  void keep_resumable() { keep_resumable_ = true; }
  // Why nothing new is begun; nullptr: nothing has ended the run.
  [[nodiscard]] const Error* ended_early() const {
    if (ended_early_) return &*ended_early_;
    return job_.stop.requested() ? &job_.stop.reason() : nullptr;
  }

  // Every part of the run has ended. Checks the counts, closes the journal.
  Report finish();

  [[nodiscard]] Job& job() { return job_; }
  // All that has ended, whether the watermark has passed it or not.
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  Job& job_;
  Checkpoint start_;
  Watermark watermark_;
  Counts counts_;
  Watermark::Passed
      passed_;  // the pages before the watermark, with the failed keys not yet written
  std::uint64_t output_bytes_ = 0;  // where the entries of passed_ end in the output
  bool moved_ = false;              // since the last save
  bool done_is_gone_ = false;
  bool keep_resumable_ = false;
  bool refused_ = false;
  Counts saved_counts_;
  std::vector<std::string> skipped_keys_;
  FailureFile failures_;
  std::optional<Error> ended_early_;
  flow::TimePoint synced_at_;
  flow::Stage& listed_;
  flow::Stage& matched_;
  flow::Stage& done_;
  flow::Stage& failed_;
};

// Some entries of a batch that came from the same page, in their order.
struct PageRun {
  std::uint64_t page = 0;
  std::size_t entries = 0;
  Stretch stretch;  // exactly these, and what has ended before; empty: not known
};

// Settles a batch whose entries ended as `endings` tells, page by page. `key` gives an entry's key,
// `reasons` tells of the failed ones.
void settle_batch(JobRun& run, const std::vector<PageRun>& pages,
                  const std::vector<Ending>& endings, const std::vector<store::KeyFailure>& reasons,
                  const std::function<std::string_view(std::size_t)>& key);

}  // namespace sluice::bulk
