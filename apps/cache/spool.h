// Spool: bytes that wait, in memory while they are few, else in a file that has no name.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "base/error.h"

namespace sluice::cache_cli {

// For answers that may be given out only when all of them are known. The bytes go to a file when
// they are more than some megabytes; the file is in the first of some folders where one can be
// made, belongs to this process alone, and is gone with it. For one thread.
class Spool {
 public:
  explicit Spool(std::vector<std::string> folders) : folders_(std::move(folders)) {}

  Result<> append(std::string_view bytes);
  [[nodiscard]] std::uint64_t size() const { return in_file_ + buffer_.size(); }
  // Takes back what came last: `size` bytes are left.
  void truncate(std::uint64_t size);
  // Calls `take` with all bytes in their order, piece by piece. A piece is valid during the call.
  using Take = std::function<Result<>(std::string_view)>;
  Result<> each(const Take& take) const;

 private:
  Result<> make_file();

  std::vector<std::string> folders_;
  Descriptor file_;
  std::uint64_t in_file_ = 0;  // bytes of the file that count; the buffer follows them
  std::string buffer_;
};

}  // namespace sluice::cache_cli
