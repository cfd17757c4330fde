// JobLog: what a bulk job writes down so that it can be continued, and the folder of all of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "bulk/job_record.h"
#include "flow/journal.h"

namespace sluice::bulk {

// The journal of one job: typed records over flow::Journal.
//
// A checkpoint is written whenever the watermark moves, and survives the death of the process. It
// survives a power cut only if it was written as `synced`, which the caller says after it has
// synced the output that the checkpoint speaks of; after a reboot, later checkpoints that were not
// synced are not believed (the boot id in each record tells).
class JobLog {
 public:
  [[nodiscard]] const JobHeader& header() const { return header_; }
  // Where the job was when it was opened for resuming.
  [[nodiscard]] const std::optional<Checkpoint>& resumed_from() const { return resumed_from_; }

  Result<> checkpoint(const Checkpoint& checkpoint, bool synced);
  // The job has ended for good (finished, or failed in a way that resuming would not mend).
  Result<> finish(JobState state, std::string_view reason);
  // The job has ended early and can be resumed.
  Result<> stopped(std::string_view reason);

  // Beside the journal, with its name: the keys that failed, and the keys that were matched.
  [[nodiscard]] std::string failure_path() const;
  [[nodiscard]] std::string spool_path() const;
  // Of a job that purges a cache, too: the tags to purge (cdn::ItemSpool), and those that could not
  // be purged, as text.
  [[nodiscard]] std::string tags_path() const;
  [[nodiscard]] std::string unpurged_path() const;
  // Beside it, too: a listing that had to be collected before the work began (ListingSpool).
  // A job with two of them calls them by their side.
  [[nodiscard]] std::string listing_path(std::string_view side = {}) const;
  static constexpr std::string_view kSource = ".source";
  static constexpr std::string_view kTarget = ".target";

 private:
  friend class JobFolder;
  JobLog(flow::Journal journal, JobHeader header)
      : journal_(std::move(journal)), header_(std::move(header)) {}

  flow::Journal journal_;
  JobHeader header_;
  std::optional<Checkpoint> resumed_from_;
};

// $XDG_STATE_HOME/sluice/jobs: one journal a job, 0600 in a folder that is 0700.
class JobFolder {
 public:
  explicit JobFolder(std::string path) : path_(std::move(path)) {}

  // Starts the journal of a new job and gives it an id.
  Result<JobLog> create(JobHeader header) const;
  // Continues an unfinished job. Fails with `conflict` while it runs elsewhere.
  Result<JobLog> resume(std::string_view id) const;
  // The newest unfinished job with this identity.
  [[nodiscard]] std::optional<std::string> find_unfinished(std::string_view identity) const;

  // All jobs, newest first, by the clock at their creation. (Those of one second, if an older
  // version has made them, in any order.) A file that is no journal of ours is passed over.
  [[nodiscard]] std::vector<JobSummary> list() const;
  Result<JobSummary> show(std::string_view id) const;
  // Where a job keeps the tags that it has to purge: JobLog::tags_path, whether it is there or not.
  [[nodiscard]] std::string tags_path(std::string_view id) const;
  // Removes a job that does not run, with the files beside its journal.
  Result<> remove(std::string_view id) const;
  // A new file for what work without a journal could not do; makes the folder, not the file.
  Result<std::string> loose_failure_path() const;
  // How long what has ended is kept for `sluice jobs show`.
  static constexpr std::int64_t kept_seconds = 7 * 24 * 3600;
  // Removes what has ended more than `seconds` ago, and what was killed before it had begun.
  void prune(std::int64_t now, std::int64_t seconds) const;

 private:
  [[nodiscard]] std::string journal_path(std::string_view id) const;
  std::string path_;
};

}  // namespace sluice::bulk
