// metadata_tags: the cache tags that an entry's metadata names. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::cdn {

struct MetadataTags {
  std::vector<std::string> tags;  // each once; checked
  std::size_t unusable = 0;       // named, but nothing that can be a cache tag
};

// The tags in `field` of the metadata (JSON text; empty: none): a text, a comma-separated list, or
// an array of these. A field name with dots that is not there as such leads to a field within
// others. Without a field: all of cache-tag, cache-tags, cacheTags, tag and tags that are there.
[[nodiscard]] MetadataTags tags_of(std::string_view metadata,
                                   const std::optional<std::string>& field);

}  // namespace sluice::cdn
