#include "store/limits.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "base/base64.h"
#include "base/utf8.h"

namespace sluice::store {

namespace {

// Long keys are cut: a message is for people.
std::string shown(std::string_view key) {
  return truncated_to_width(printable(key), 80);
}

std::unexpected<Error> too_many(std::string_view call, std::string_view what, std::size_t given,
                                std::size_t allowed) {
  return fail(
      ErrorCode::invalid_argument,
      "this store takes at most {} {} in one {}, and was given {}. Use a smaller --batch-size.",
      allowed, what, call, given);
}

}  // namespace

Result<> check_key(const Capabilities& capabilities, std::string_view key) {
  if (key.empty()) {
    return fail(ErrorCode::invalid_argument,
                "an empty key is not allowed. Give every entry a key.");
  }
  if (key.size() > capabilities.key_bytes) {
    return fail(ErrorCode::invalid_argument,
                "the key \"{}\" has {} bytes, and this store takes at most {}. Shorten it.",
                shown(key), key.size(), capabilities.key_bytes);
  }
  if (capabilities.keys_are_utf8 && !is_utf8(key)) {
    return fail(ErrorCode::invalid_argument,
                "the key \"{}\" is not UTF-8, which this store requires. Rename it.", shown(key));
  }
  return {};
}

Result<> check_entry(const Capabilities& capabilities, const EntryView& entry, std::int64_t now) {
  if (auto key = check_key(capabilities, entry.key); !key) return key;
  if (entry.value.size() > capabilities.value_bytes) {
    return fail(ErrorCode::invalid_argument,
                "the value of \"{}\" has {} bytes, and this store takes at most {}.",
                shown(entry.key), entry.value.size(), capabilities.value_bytes);
  }
  if (entry.metadata.size() > capabilities.metadata_bytes) {
    return fail(ErrorCode::invalid_argument,
                "the metadata of \"{}\" has {} bytes, and this store takes at most {}.",
                shown(entry.key), entry.metadata.size(), capabilities.metadata_bytes);
  }
  if (entry.expiration < 0) {
    return fail(
        ErrorCode::invalid_argument,
        "the expiration of \"{}\" is {}, which is before 1970. Give it in seconds since then.",
        shown(entry.key), entry.expiration);
  }
  if (capabilities.least_ttl > 0 && entry.expiration > 0 &&
      entry.expiration < now + capabilities.least_ttl) {
    return fail(ErrorCode::invalid_argument,
                "\"{}\" would expire in {} s, and this store takes no less than {} s.",
                shown(entry.key), entry.expiration - now, capabilities.least_ttl);
  }
  return {};
}

Result<> check_get(const Capabilities& capabilities, std::span<const std::string_view> keys) {
  if (keys.size() > capabilities.get_keys) {
    return too_many("get", "keys", keys.size(), capabilities.get_keys);
  }
  return {};
}

Result<> check_put(const Capabilities& capabilities, std::span<const EntryView> entries) {
  if (entries.size() > capabilities.put_entries) {
    return too_many("put", "entries", entries.size(), capabilities.put_entries);
  }
  if (entries.size() < 2) return {};
  std::size_t bytes = 0;
  for (const EntryView& entry : entries) {
    bytes += entry.key.size() + entry.value.size() + entry.metadata.size();
  }
  if (bytes > capabilities.put_bytes) {
    return too_many("put", "bytes", bytes, capabilities.put_bytes);
  }
  return {};
}

Result<> check_erase(const Capabilities& capabilities, std::span<const std::string_view> keys) {
  if (keys.size() > capabilities.erase_keys) {
    return too_many("erase", "keys", keys.size(), capabilities.erase_keys);
  }
  return {};
}

std::vector<std::uint32_t> writable_in_key_order(const Capabilities& capabilities,
                                                 std::span<const EntryView> entries,
                                                 std::int64_t now,
                                                 std::vector<KeyFailure>& failed) {
  std::vector<std::uint32_t> order;
  order.reserve(entries.size());
  bool sorted = true;  // strictly: then nothing is twice
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (auto checked = check_entry(capabilities, entries[i], now); !checked) {
      failed.push_back({i, std::move(checked.error())});
      continue;
    }
    if (!order.empty() && entries[order.back()].key >= entries[i].key) sorted = false;
    order.push_back(static_cast<std::uint32_t>(i));
  }
  if (sorted) return order;
  // Equal keys in the order of the call, so that the last of them is the one that stays.
  std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
    const int compared = entries[a].key.compare(entries[b].key);
    return compared != 0 ? compared < 0 : a < b;
  });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i + 1 < order.size() && entries[order[i]].key == entries[order[i + 1]].key) continue;
    order[kept++] = order[i];
  }
  order.resize(kept);
  return order;
}

std::string cursor_of_key(std::string_view key) {
  std::string cursor;
  append_base64(cursor, key);
  return cursor;
}

Result<std::string> key_of_cursor(std::string_view cursor) {
  auto key = decode_base64(cursor);
  if (!key || key->empty()) {
    return fail(
        ErrorCode::invalid_argument,
        "the cursor \"{}\" is not one of this store's. Start the listing from its beginning.",
        printable(cursor.substr(0, 80)));
  }
  return key;
}

std::vector<std::string> split_points(std::vector<std::string> keys, std::size_t parts) {
  std::ranges::sort(keys);
  std::vector<std::string> points;
  for (std::size_t part = 1; part < parts; ++part) {
    const std::size_t at = keys.size() * part / parts;
    if (at >= keys.size()) break;
    if (points.empty() || points.back() != keys[at]) points.push_back(keys[at]);
  }
  return points;
}

std::string end_of_prefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

std::int64_t unix_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace sluice::store
