// FailureFile: the keys that a job could not do, in a file that --keys-file takes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "bulk/job.h"

namespace sluice::bulk {

// Writes one JSON line a key: {"key":…,"code":…,"error":…}. The file is made with the first
// failure, 0600, and removed by nobody but its reader. Also counts the reasons, of which it keeps
// at most a hundred different ones.
class FailureFile {
 public:
  // `bytes` is how much of an existing file is kept: what a resumed job had written up to its
  // checkpoint. An empty path counts without writing.
  // More than that is cut off; if the file has become shorter, what is there is kept.
  FailureFile(std::string path, std::uint64_t bytes);
  ~FailureFile();
  FailureFile(const FailureFile&) = delete;
  FailureFile& operator=(const FailureFile&) = delete;

  Result<> append(const std::vector<FailedKey>& keys);
  // Cuts off what is in the file beyond `bytes`: beyond the checkpoint of a resumed job there may
  // be keys that it has done since. `append` does it, too.
  Result<> cut_off_the_rest();
  Result<> sync();
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  // Empty as long as no key has failed.
  [[nodiscard]] std::string path() const { return bytes_ > 0 ? path_ : std::string(); }
  [[nodiscard]] std::vector<FailureReason> reasons() const;

 private:
  std::string path_;
  std::uint64_t bytes_;
  int file_ = -1;
  std::map<std::string, std::uint64_t, std::less<>> reasons_;
};

}  // namespace sluice::bulk
