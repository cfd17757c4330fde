#include "tests/cloudflare/keyspace.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace sluice::cloudflare_fake {
namespace {

constexpr std::string_view stem = "user:";
constexpr std::size_t digits = 9;

bool expired(const Entry& entry, std::int64_t now) {
  return entry.expiration != 0 && entry.expiration <= now;
}

}  // namespace

std::string made_up_key(std::uint64_t index) {
  std::string key = "user:000000000";
  for (std::size_t at = key.size(); index != 0 && at > stem.size(); index /= 10) {
    key[--at] = static_cast<char>('0' + index % 10);
  }
  return key;
}

std::string made_up_value(std::uint64_t index, std::size_t bytes) {
  std::string value = fmt::format("value {} ", index);
  while (value.size() < bytes) value.append("abcdefghijklmnopqrstuvwxyz0123456789 ");
  value.resize(bytes);
  return value;
}

std::string made_up_metadata(std::uint64_t index) {
  std::string text = R"({"tags":["t)";
  fmt::format_int number(index % 10);
  text.append(number.data(), number.size());
  text += index % 10 == 0 ? R"(","old-data"],"status":")" : R"("],"status":")";
  text += index % 4 == 0 ? "archived" : "active";
  text += R"(","owner":{"name":"Owner )";
  fmt::format_int owner(index % 1000);
  text.append(owner.data(), owner.size());
  text += R"("}})";
  return text;
}

Keyspace::Keyspace(MadeUp made_up)
    : made_up_(made_up), gone_(static_cast<std::size_t>(made_up.keys)) {}

std::optional<std::uint64_t> Keyspace::made_up_index(std::string_view key) const {
  if (key.size() != stem.size() + digits || !key.starts_with(stem)) return std::nullopt;
  std::uint64_t index = 0;
  const char* end = key.data() + key.size();
  const auto [stop, error] = std::from_chars(key.data() + stem.size(), end, index);
  if (error != std::errc{} || stop != end || index >= made_up_.keys) return std::nullopt;
  return index;
}

std::uint64_t Keyspace::lower_bound(std::string_view key) const {
  std::uint64_t low = 0;
  std::uint64_t high = made_up_.keys;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (made_up_key(middle) < key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void Keyspace::put(std::string key, Entry entry) {
  if (const auto index = made_up_index(key); index && !gone_[*index]) {
    gone_[*index] = true;
    ++gone_count_;
  }
  stored_.insert_or_assign(std::move(key), std::move(entry));
}

bool Keyspace::erase(std::string_view key, std::int64_t now) {
  if (const auto index = made_up_index(key); index && !gone_[*index]) {
    gone_[*index] = true;
    ++gone_count_;
    return true;
  }
  const auto at = stored_.find(key);
  if (at == stored_.end()) return false;
  const bool was_there = !expired(at->second, now);
  stored_.erase(at);
  return was_there;
}

std::optional<Entry> Keyspace::find(std::string_view key, std::int64_t now) const {
  if (const auto index = made_up_index(key); index && !gone_[*index]) {
    return Entry{made_up_value(*index, made_up_.value_bytes),
                 made_up_.metadata ? made_up_metadata(*index) : std::string(), 0};
  }
  const auto at = stored_.find(key);
  if (at == stored_.end() || expired(at->second, now)) return std::nullopt;
  return at->second;
}

std::vector<Keyspace::Listed> Keyspace::list(std::string_view prefix,
                                             std::optional<std::string_view> after,
                                             std::size_t limit, std::int64_t now,
                                             bool& more) const {
  std::vector<Listed> page;
  page.reserve(std::min<std::size_t>(limit, 1000));
  more = false;
  const bool resumes = after && *after >= prefix;
  auto stored = resumes ? stored_.upper_bound(*after) : stored_.lower_bound(prefix);
  std::uint64_t index = lower_bound(resumes ? *after : prefix);
  if (resumes && index < made_up_.keys && made_up_key(index) == *after) ++index;

  while (true) {
    while (stored != stored_.end() && expired(stored->second, now)) ++stored;
    while (index < made_up_.keys && gone_[index]) ++index;
    const bool has_stored = stored != stored_.end() && stored->first.starts_with(prefix);
    std::string made;
    bool has_made = index < made_up_.keys;
    if (has_made) {
      made = made_up_key(index);
      has_made = made.starts_with(prefix);
    }
    if (!has_stored && !has_made) return page;
    if (page.size() == limit) {
      more = true;
      return page;
    }
    if (has_made && (!has_stored || made < stored->first)) {
      page.push_back(
          {std::move(made), made_up_.metadata ? made_up_metadata(index) : std::string(), 0});
      ++index;
    } else {
      page.push_back({stored->first, stored->second.metadata, stored->second.expiration});
      ++stored;
    }
  }
}

std::uint64_t Keyspace::size(std::int64_t now) const {
  const auto live =
      std::ranges::count_if(stored_, [&](const auto& item) { return !expired(item.second, now); });
  return made_up_.keys - gone_count_ + static_cast<std::uint64_t>(live);
}

}  // namespace sluice::cloudflare_fake
