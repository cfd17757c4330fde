// CopyRows: entries as the data of a COPY … FROM STDIN WITH (FORMAT binary).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "store/store.h"

namespace sluice::store::pg {

// The columns in the order in which the rows have them.
inline constexpr std::string_view kCopyColumns = "key, expires_at, metadata, value";

// Gives the data piece by piece, so that it is never in memory as a whole: small entries are
// gathered, and a large value is a piece of its own, which is not copied. What it is made with
// outlives it.
class CopyRows {
 public:
  CopyRows(std::span<const EntryView> entries, std::span<const std::uint32_t> places)
      : entries_(entries), places_(places) {}

  // The next piece, valid until the next call; empty: that was all.
  std::string_view next();
  // The same data once more.
  void restart();

 private:
  std::span<const EntryView> entries_;
  std::span<const std::uint32_t> places_;
  std::string buffer_;
  std::string_view value_;  // to be given next
  std::size_t at_ = 0;
  bool begun_ = false;
  bool ended_ = false;
};

}  // namespace sluice::store::pg
