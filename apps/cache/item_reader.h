// ItemReader: fields or lines, from a descriptor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::cache_cli {

// The largest item that is read: whoever has larger values gives them to `cache set`.
inline constexpr std::size_t kLargestItem = std::size_t{64} << 20;

// Reads items that end in one character. Holds one piece of the input, or one item if that is
// longer.
class ItemReader {
 public:
  // The descriptor stays open. `what` is an item in messages: "field".
  ItemReader(int descriptor, char end, std::string_view what)
      : descriptor_(descriptor), end_(end), what_(what) {}

  struct Item {
    std::string_view text;  // without its end; valid until the next call
    bool ended = true;      // false: the input ends without the character
  };
  // The next one, or nothing at the end of the input. `too_large` beyond kLargestItem.
  Result<std::optional<Item>> next();
  // How many there were.
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  int descriptor_;
  char end_;
  std::string what_;
  std::string buffer_;
  std::size_t at_ = 0;  // how much of it has been given out
  bool at_end_ = false;
  std::uint64_t count_ = 0;
};

}  // namespace sluice::cache_cli
