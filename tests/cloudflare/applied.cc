#include "tests/cloudflare/applied.h"

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

namespace sluice::cloudflare_fake {

void AppliedCounts::start() {
  on_ = true;
  put_.clear();
  erased_.clear();
}

void AppliedCounts::count(Counts& counts, std::string_view namespace_id,
                          std::string_view key) const {
  if (!on_) return;
  const std::uint64_t seed = XXH3_64bits(namespace_id.data(), namespace_id.size());
  ++counts[XXH3_64bits_withSeed(key.data(), key.size(), seed)];
}

AppliedCounts::Digest AppliedCounts::digest(const Counts& counts) {
  Digest digest{.keys = counts.size()};
  for (const auto& [key, count] : counts) {
    digest.again += count - 1;
    digest.most = std::max<std::uint64_t>(digest.most, count);
  }
  return digest;
}

std::string AppliedCounts::to_json() const {
  const auto text = [](const Digest& digest) {
    return fmt::format(R"({{"keys":{},"again":{},"most":{}}})", digest.keys, digest.again,
                       digest.most);
  };
  return fmt::format(R"({{"put":{},"erased":{}}})", text(digest(put_)), text(digest(erased_)));
}

}  // namespace sluice::cloudflare_fake
