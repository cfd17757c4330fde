// split_lines: the loop of all readers whose records end at a certain byte. Internal to bulk.
#pragma once

#include <cstring>
#include <string>
#include <string_view>

namespace sluice::bulk {

// Calls `take(line)` for every record in `chunk` that ends with `end`, the first one put behind
// `begun`, and leaves in `begun` what follows the last `end`. False if a record is longer than
// `longest`; then `begun` holds less than the record.
template <class Take>
[[nodiscard]] bool split_lines(std::string_view chunk, char end, std::size_t longest,
                               std::string& begun, Take take) {
  while (!chunk.empty()) {
    const void* const found = std::memchr(chunk.data(), end, chunk.size());
    const std::size_t size =
        found == nullptr ? chunk.size()
                         : static_cast<std::size_t>(static_cast<const char*>(found) - chunk.data());
    if (size > longest - begun.size()) return false;
    if (found == nullptr) {
      begun += chunk;
      return true;
    }
    if (begun.empty()) {
      take(chunk.substr(0, size));
    } else {
      begun += chunk.substr(0, size);
      take(std::string_view(begun));
      // One huge record does not hold its memory.
      if (begun.capacity() > (std::size_t{1} << 20)) std::string().swap(begun);
      begun.clear();
    }
    chunk.remove_prefix(size + 1);
  }
  return true;
}

}  // namespace sluice::bulk
