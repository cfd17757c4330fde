// KvJob: a bulk job of the command line, with its journal, progress display and summary.
#pragma once

#include <boost/json/fwd.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bulk/job.h"
#include "bulk/job_log.h"
#include "bulk/selection.h"
#include "context.h"
#include "kv_store.h"
#include "progress_display.h"

namespace sluice::cli {

// The selection that the flags and, for get and delete, the arguments name.
[[nodiscard]] bulk::Selection selection_from(const Invocation& invocation);

// Names a file by what a resumed job needs to find again: its place and its length.
[[nodiscard]] std::string file_identity(const std::string& path);

// What tells one job from another, and how it is told of.
struct JobPlan {
  std::string verb;      // what has happened to an entry: "deleted"
  std::string identity;  // where to and where from; the selection is added
  std::string store;     // the URL that a resumed job has to use, whatever its environment says
  std::string skipped = "not there any more";  // why an entry may have been passed over
  std::string matched = "matched";             // how the selected entries are called
  std::string output = {};                     // the file that is written
  std::string format = {};                     // … and in what
  bool resumable = true;                       // keep a journal
  bool json_to_stdout = true;                  // with --json, the report is the result
};

// Surrounds one bulk operation: the journal (a new one, or with --resume the
// one of the unfinished job that asked for the same), the display, and at the end the report.
class KvJob {
 public:
  static Result<std::unique_ptr<KvJob>> begin(Context& context, const Invocation& invocation,
                                              const JobPlan& plan);

  ~KvJob();
  KvJob(const KvJob&) = delete;
  KvJob& operator=(const KvJob&) = delete;

  [[nodiscard]] bulk::Job& job() { return *job_; }
  // Says, with --verbose, that --batch-size is more than a call of the store carries.
  void note_batch_size(std::size_t most);
  // The id of the journal; "" without one.
  [[nodiscard]] std::string id() const;
  // Whether an earlier run has begun this job.
  [[nodiscard]] bool resumed() const { return resumed_; }
  // What the journal says of the output's format (bulk::JobHeader::format).
  [[nodiscard]] std::string format() const;
  // Where a resumed job was; nothing for a new one.
  [[nodiscard]] const bulk::Checkpoint* resumed_from() const;

  // Starts the display. Call when the work begins, after all questions. `stores` are those that
  // take part; they outlive the job. With `seen_otherwise` (the entries go to the terminal) it only
  // tells what stands in the way.
  void show_progress(const std::vector<const KvStore*>& stores, bool seen_otherwise = false);
  // After hide_progress, in the middle of the job.
  void show_progress_again();
  io::Task<> hide_progress() { return display_.stop(); }

  // Tells what was done, to whom it may concern: a line for people, an object with --json (with
  // `extra` in it), the failures by reason, how to go on. `stores` are those that took part.
  ExitCode finish(const bulk::Report& report, const std::vector<const KvStore*>& stores,
                  const boost::json::object& extra);

 private:
  KvJob(Context& context, const Invocation& invocation, JobPlan plan);
  Result<> open_journal();
  // Removes the journal of a run that did nothing and has nothing to go on from.
  void leave_no_job();
  Result<> look_for_another(const bulk::JobFolder& folder, const std::string& identity);
  void tell(const bulk::Report& report, double seconds, const store::WireStats& wire);
  [[nodiscard]] boost::json::object report_object(const bulk::Report& report, double seconds,
                                                  const store::WireStats& wire) const;

  Context& context_;
  const Invocation& invocation_;
  JobPlan plan_;
  flow::Retrier retrier_;
  std::optional<bulk::JobLog> journal_;
  std::unique_ptr<bulk::Job> job_;
  ProgressDisplay display_;
  std::vector<const KvStore*> shown_;  // whose traffic the display tells
  flow::TimePoint begun_;
  bool resumed_ = false;
  bool told_ = false;  // `finish` was called
};

// The most memory that this process has held, in bytes.
[[nodiscard]] std::uint64_t peak_memory();

}  // namespace sluice::cli
