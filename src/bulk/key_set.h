// KeySet: whether a key is one of many.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace sluice::bulk {

// A set of keys that takes 16 bytes each, whatever their length: it keeps their 128-bit XXH3
// hashes, of which two are the same by chance once in 10^26 for a million keys.
class KeySet {
 public:
  struct Hash {
    std::uint64_t high, low;
    auto operator<=>(const Hash&) const = default;
  };
  struct HashOfHash {
    std::size_t operator()(const Hash& hash) const noexcept { return hash.low; }
  };
  static Hash hash(std::string_view key);

  void add(std::string_view key);
  // Call once, after the last add.
  void seal();
  [[nodiscard]] bool contains(std::string_view key) const;

 private:
  std::vector<Hash> hashes_;
};

}  // namespace sluice::bulk
