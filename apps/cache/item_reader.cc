#include "item_reader.h"

#include <unistd.h>

#include <cerrno>

namespace sluice::cache_cli {

Result<std::optional<ItemReader::Item>> ItemReader::next() {
  constexpr std::size_t kReadPiece = std::size_t{256} << 10;
  std::size_t searched = at_;
  for (;;) {
    const std::size_t end = buffer_.find(end_, searched);
    const bool ended = end != std::string::npos;
    if (ended || (at_end_ && at_ < buffer_.size())) {
      const std::size_t size = (ended ? end : buffer_.size()) - at_;
      const Item item{.text = std::string_view(buffer_).substr(at_, size), .ended = ended};
      at_ += size + (ended ? 1 : 0);
      ++count_;
      return item;
    }
    if (at_end_) return std::nullopt;
    buffer_.erase(0, at_);
    at_ = 0;
    if (buffer_.size() > kLargestItem) {
      return fail(
          ErrorCode::too_large,
          "{} {} of the batch has more than {} MiB. Give such a value to `sluice cache set`. "
          "What came before it was done.",
          what_, count_ + 1, kLargestItem >> 20);
    }
    searched = buffer_.size();
    buffer_.resize(searched + kReadPiece);
    const ssize_t got = ::read(descriptor_, buffer_.data() + searched, kReadPiece);
    const int failed = errno;
    buffer_.resize(searched + static_cast<std::size_t>(got > 0 ? got : 0));
    if (got < 0 && failed != EINTR) {
      return std::unexpected(system_error(failed, "read the batch from stdin"));
    }
    if (got == 0) at_end_ = true;
  }
}

}  // namespace sluice::cache_cli
