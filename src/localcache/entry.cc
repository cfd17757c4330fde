#include "localcache/entry.h"

namespace sluice::localcache {

Result<std::string_view> Value::next() {
  if (source_ != nullptr) return source_->next();
  if (given_) return std::string_view();
  given_ = true;
  return std::string_view(text_);
}

Result<std::string> Value::rest() {
  if (source_ == nullptr) {
    if (given_) return std::string();
    given_ = true;
    return std::move(text_);
  }
  std::string all;
  for (;;) {
    const auto piece = source_->next();
    if (!piece) return std::unexpected(piece.error());
    if (piece->empty()) return all;
    all += *piece;
  }
}

}  // namespace sluice::localcache
