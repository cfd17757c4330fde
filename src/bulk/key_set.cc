#include "bulk/key_set.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

namespace sluice::bulk {

KeySet::Hash KeySet::hash(std::string_view key) {
  const XXH128_hash_t value = XXH3_128bits(key.data(), key.size());
  return {value.high64, value.low64};
}

void KeySet::add(std::string_view key) {
  hashes_.push_back(hash(key));
}

void KeySet::seal() {
  std::sort(hashes_.begin(), hashes_.end());
}

bool KeySet::contains(std::string_view key) const {
  return std::binary_search(hashes_.begin(), hashes_.end(), hash(key));
}

}  // namespace sluice::bulk
