#include "cdn/metadata_tags.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "cdn/purge_item.h"

namespace sluice::cdn {

namespace {

namespace json = boost::json;

// What Cloudflare's own header, its API and common practice call them.
constexpr std::array<std::string_view, 5> kFields{"cache-tag", "cache-tags", "cacheTags", "tag",
                                                  "tags"};
constexpr std::size_t kDeepest = 512;

void add(std::string_view text, MetadataTags& found) {
  for (const std::string_view part : split_list(text)) {
    auto tag = checked_item(PurgeKind::tags, part);
    if (!tag) {
      ++found.unusable;
    } else if (std::ranges::find(found.tags, *tag) == found.tags.end()) {
      found.tags.push_back(std::move(*tag));
    }
  }
}

void add(const json::value& value, MetadataTags& found, bool in_array = false) {
  if (value.is_string()) {
    add(std::string_view(value.get_string()), found);
  } else if (value.is_number()) {
    add(json::serialize(value), found);
  } else if (value.is_array() && !in_array) {
    for (const json::value& element : value.get_array()) add(element, found, true);
  } else if (!value.is_null()) {
    ++found.unusable;
  }
}

const json::value* find_field(const json::object& object, std::string_view path) {
  if (const json::value* const exact = object.if_contains(path)) return exact;
  for (std::size_t dot = path.find('.'); dot != std::string_view::npos;
       dot = path.find('.', dot + 1)) {
    const json::value* const outer = object.if_contains(path.substr(0, dot));
    if (outer == nullptr || !outer->is_object()) continue;
    if (const json::value* const inner = find_field(outer->get_object(), path.substr(dot + 1))) {
      return inner;
    }
  }
  return nullptr;
}

}  // namespace

MetadataTags tags_of(std::string_view metadata, const std::optional<std::string>& field) {
  MetadataTags found;
  if (metadata.empty()) return found;
  json::parse_options options;
  options.max_depth = kDeepest;
  json::monotonic_resource memory;
  boost::system::error_code error;
  const json::value value = json::parse(metadata, error, &memory, options);
  if (error || !value.is_object()) return found;
  const json::object& object = value.get_object();
  if (field) {
    if (const json::value* const named = find_field(object, *field)) add(*named, found);
    return found;
  }
  for (const std::string_view name : kFields) {
    if (const json::value* const named = object.if_contains(name)) add(*named, found);
  }
  return found;
}

}  // namespace sluice::cdn
