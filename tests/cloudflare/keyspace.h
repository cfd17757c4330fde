// Keyspace: the entries of one namespace of the fake, stored or made up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::cloudflare_fake {

struct Entry {
  std::string value;
  std::string metadata;         // raw JSON text; empty: none
  std::int64_t expiration = 0;  // seconds since 1970; 0: never
};

// Entries that are computed when asked for, so that ten million cost a bit each.
struct MadeUp {
  std::uint64_t keys = 0;  // "user:000000000" and so on, at most 10^9
  bool metadata = false;
  std::size_t value_bytes = 40;
};

[[nodiscard]] std::string made_up_key(std::uint64_t index);
[[nodiscard]] std::string made_up_value(std::uint64_t index, std::size_t bytes);
[[nodiscard]] std::string made_up_metadata(std::uint64_t index);

// An ordered map from key to entry whose initial content may be made up.
//
// Invariant: a key is alive at most once: a made-up key whose bit in `gone_` is set is dead or
// lives in `stored_`; one whose bit is clear is not in `stored_`.
class Keyspace {
 public:
  struct Listed {
    std::string key;
    std::string metadata;
    std::int64_t expiration = 0;
  };

  explicit Keyspace(MadeUp made_up = {});

  void put(std::string key, Entry entry);
  // Whether the key was there.
  bool erase(std::string_view key, std::int64_t now);
  [[nodiscard]] std::optional<Entry> find(std::string_view key, std::int64_t now) const;
  // At most `limit` keys greater than `after` (from the first one, if it is nullopt) that begin
  // with `prefix`, in the order of their bytes. `more` tells whether others follow.
  [[nodiscard]] std::vector<Listed> list(std::string_view prefix,
                                         std::optional<std::string_view> after, std::size_t limit,
                                         std::int64_t now, bool& more) const;
  [[nodiscard]] std::uint64_t size(std::int64_t now) const;

 private:
  // The made-up key with this name, if it is one (dead or alive).
  [[nodiscard]] std::optional<std::uint64_t> made_up_index(std::string_view key) const;
  // The first made-up index whose key is not less than `key`.
  [[nodiscard]] std::uint64_t lower_bound(std::string_view key) const;

  MadeUp made_up_;
  std::vector<bool> gone_;
  std::uint64_t gone_count_ = 0;
  std::map<std::string, Entry, std::less<>> stored_;
};

}  // namespace sluice::cloudflare_fake
