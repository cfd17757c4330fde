// JsonFormat: batches of cache operations as JSON lines.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "batch.h"

namespace sluice::cli {

// {"op":"set|get|delete","key":…,"key_base64"?,"value"?,"base64"?,"ttl"?,"tags"?}, one a line; a
// ttl is a number of seconds or a duration ("5m"). Answers are a line each, in order:
// {"op","key","ok":true}, for a get {"op","key","ok":true,"found",…,"value"?,"base64"?}, for what
// was not done because it is a dry run {"op","key","ok":true,"dry_run":true}, for what failed
// {"op"?,"key"?,"ok":false,"code","error"}. A line that cannot be understood is answered so,
// and the next one is read. Empty lines are passed over.
class JsonFormat : public cache_cli::BatchFormat {
 public:
  // Reads from this descriptor, which stays open. Large values wait in one of the folders.
  JsonFormat(int descriptor, std::vector<std::string> spool_folders, bool dry_run = false)
      : lines_(descriptor, '\n', "line"),
        spool_folders_(std::move(spool_folders)),
        dry_run_(dry_run) {}
  Result<std::optional<cache_cli::BatchOperation>> next() override;
  Result<bool> append(cache_cli::Spool& out, const cache_cli::BatchOperation& operation,
                      localcache::Answer& answer) override;

 private:
  cache_cli::ItemReader lines_;
  std::vector<std::string> spool_folders_;  // for large values
  bool dry_run_;
};

// One line, understood. What is wrong with it is in `refused`.
cache_cli::BatchOperation parse_batch_line(std::string_view line, std::uint64_t number);

}  // namespace sluice::cli
