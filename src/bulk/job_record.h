// What the journal of a job says, and how it is written: one JSON object a record.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bulk/position.h"
#include "io/boot.h"

namespace sluice::bulk {

// What a job was asked to do. Two jobs with the same `identity` are the same work: --resume
// continues an unfinished one.
struct JobHeader {
  std::string id;
  std::string command;             // "kv delete"
  std::vector<std::string> words;  // the flags and arguments that resume it, without secrets
  std::string folder;              // the current folder in which the words are understood
  std::string output;              // the file that is written, as an absolute path; or empty
  std::string identity;            // store, namespace, selection and output, as one string
  // What the output is written in (name of a Format), which a resumed job keeps. Empty: nothing is
  // written, or the journal is of a version that wrote what --format said, else ndjson.
  std::string format{};
  std::int64_t created = 0;  // seconds since 1970-01-01 UTC
  // … and nanoseconds, to tell which of two was first. A journal of an older version has none.
  std::int64_t created_nanoseconds = 0;
};

// How far a job is.
struct Checkpoint {
  Position position;
  Counts counts;
  std::uint64_t output_bytes = 0;   // of the output file
  std::uint64_t failure_bytes = 0;  // of the file of failed keys
  // The matched keys are in the spool file, complete: the source is the spool from now on.
  bool spooled = false;
};

enum class JobState : std::uint8_t { running, unfinished, finished, failed };
[[nodiscard]] std::string_view name(JobState state);

// A job as `sluice jobs` shows it.
struct JobSummary {
  JobHeader header;
  JobState state = JobState::unfinished;
  Checkpoint checkpoint;
  std::string reason;  // why it ended, if it did not finish
};

// The records as text, of one line. Keys and cursors are in base64, since they may hold any bytes.
[[nodiscard]] std::string header_record(const JobHeader& header);
// `synced`: it is to be believed after a power cut, too.
[[nodiscard]] std::string checkpoint_record(const Checkpoint& checkpoint, bool synced);
[[nodiscard]] std::string end_record(JobState state, std::string_view reason);

// Builds a summary from the records of a journal, in their order.
class SummaryReader {
 public:
  void read(std::string_view text);
  [[nodiscard]] const JobSummary& summary() const { return summary_; }
  [[nodiscard]] bool has_checkpoint() const { return has_checkpoint_; }

 private:
  std::string boot_ = io::boot_id();
  bool first_ = true;
  bool has_checkpoint_ = false;
  JobSummary summary_;
};

}  // namespace sluice::bulk
