#include "store/redis/layout.h"

#include <fmt/format.h>

#include "base/utf8.h"

namespace sluice::store::redis {

namespace {

constexpr std::string_view kEntries = "sluice:ns:";
constexpr std::string_view kMetadata = "sluice:meta:{";
constexpr std::string_view kTaggedMetadata = "sluice:tagged-meta:";

// Whether Redis Cluster hashes only a part of the name: what stands between the first "{" and the
// next "}", if that is not empty (https://redis.io/docs/reference/cluster-spec/, "Hash tags").
bool has_hash_tag(std::string_view name) {
  const auto open = name.find('{');
  if (open == std::string_view::npos) return false;
  const auto close = name.find('}', open + 1);
  return close != std::string_view::npos && close != open + 1;
}

}  // namespace

KeySpace::KeySpace(std::string_view id)
    : id_(id), prefix_(id == kDefault ? std::string() : fmt::format("{}{}:", kEntries, id)) {}

void KeySpace::add_name(Commands& commands, std::string_view key) const {
  if (prefix_.empty()) {
    commands.add(key);
  } else {
    commands.add_joined({prefix_, key});
  }
}

void KeySpace::add_metadata_name(Commands& commands, std::string_view key) const {
  // The prefix has no brace: ids are hexadecimal.
  if (has_hash_tag(key)) {
    commands.add_joined({kTaggedMetadata, prefix_, key});
  } else {
    commands.add_joined({kMetadata, prefix_, key, "}"});
  }
}

std::optional<std::string_view> KeySpace::key_of(std::string_view name) const {
  if (prefix_.empty()) {
    if (name.starts_with(kReserved)) return std::nullopt;
    return name;
  }
  if (!name.starts_with(prefix_)) return std::nullopt;
  return name.substr(prefix_.size());
}

bool KeySpace::owns(std::string_view name) const {
  for (const std::string_view metadata : {kMetadata, kTaggedMetadata}) {
    if (!name.starts_with(metadata)) continue;
    return key_of(name.substr(metadata.size())).has_value();
  }
  return key_of(name).has_value();
}

std::string KeySpace::pattern(std::string_view prefix) const {
  if (prefix_.empty() && prefix.empty()) return {};
  std::string pattern;
  append_escaped(pattern, prefix_);
  append_escaped(pattern, prefix);
  return pattern + "*";
}

Result<> KeySpace::check(std::string_view key) const {
  if (!prefix_.empty() || !key.starts_with(kReserved)) return {};
  return fail(ErrorCode::invalid_argument,
              "the key \"{}\" begins with \"{}\", which Sluice keeps for itself in the namespace "
              "\"{}\" of a Redis database. Rename it, or use another namespace.",
              truncated_to_width(printable(key), 80), kReserved, kDefault);
}

void append_escaped(std::string& pattern, std::string_view text) {
  for (const char c : text) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\' || c == '^') pattern += '\\';
    pattern += c;
  }
}

}  // namespace sluice::store::redis
