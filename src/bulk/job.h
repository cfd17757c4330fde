// Job: what every bulk operation is given, and Report: what it gives back.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "bulk/partitions.h"
#include "bulk/position.h"
#include "flow/attempt.h"
#include "flow/progress.h"
#include "io/stop.h"
#include "telemetry/log.h"

namespace sluice::bulk {

class JobLog;

struct JobSettings {
  std::size_t concurrency = 10;           // calls under way at the same time
  std::optional<std::size_t> batch_size;  // entries of one call; the store's own limit caps it
  std::size_t in_flight_bytes = std::size_t{32} << 20;  // of values and entries held at once
  Partitions partitions;                                // how listings are parted
};

// The surroundings of one bulk operation. Everything referred to outlives the operation. Belongs to
// one loop.
struct Job {
  io::Executor executor;
  io::Stop& stop;
  Log& log;
  flow::Progress& progress;
  flow::Retrier& retrier;
  JobSettings settings;
  JobLog* journal = nullptr;  // without one, the operation cannot be resumed
  std::string failure_path;   // where failed keys are written; empty: they are only counted
};

// How often one reason occurred among the failed keys.
struct FailureReason {
  std::string message;
  std::uint64_t keys = 0;
};

// What a bulk operation did. Complete if `ended_early` is empty; then
// counts.selected = done + failed + skipped has been checked.
struct Report {
  Counts counts;
  std::optional<Error> ended_early;  // a stop, a deadline, or an error that concerns the whole run
  std::vector<FailureReason> reasons;     // most frequent first
  std::vector<std::string> skipped_keys;  // some of the keys that were not there
  bool resumable = false;                 // ended early, and the journal can take it on from there
  bool refused = false;      // ended at what stood before its work: --max-delete, or the question
  std::string failure_file;  // holds the failed keys, as --keys-file takes them; or empty
};

// 0 when all is done, 3 when some keys failed, else the code of what ended the run.
[[nodiscard]] ExitCode exit_code(const Report& report);

}  // namespace sluice::bulk
