// How entries lie in a Redis database: the names of keys. docs/stores.md promises this layout.
//
//   KEY                        an entry of the namespace "default": a string, as any program knows
//   it sluice:ns:ID:KEY           an entry of another namespace sluice:meta:{NAME}         the
//   metadata of the entry whose key in Redis is NAME sluice:tagged-meta:NAME    the same, if NAME
//   holds a hash tag ("a{b}c") itself sluice:namespaces          a hash: the id of each namespace →
//   its title sluice:deleting            a hash: namespaces whose entries are being deleted
//
// Metadata has a key of its own, with the same expiry, so that it goes when its entry goes. Its
// name has the entry's hash tag, so that both lie in the same slot of a cluster.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "redis/commands.h"

namespace sluice::store::redis {

using sluice::redis::Commands;

// What all our own keys begin with. Keys of users may not.
inline constexpr std::string_view kReserved = "sluice:";
inline constexpr std::string_view kNamespaces = "sluice:namespaces";
inline constexpr std::string_view kDeleting = "sluice:deleting";

// The name and id of the namespace that is the plain database.
inline constexpr std::string_view kDefault = "default";

// Where one namespace lies. A value.
class KeySpace {
 public:
  explicit KeySpace(std::string_view id);

  [[nodiscard]] bool is_default() const { return prefix_.empty(); }
  [[nodiscard]] const std::string& id() const { return id_; }

  // Adds the name of an entry's key in Redis, or of its metadata's, as an argument.
  void add_name(Commands& commands, std::string_view key) const;
  void add_metadata_name(Commands& commands, std::string_view key) const;

  // The entry's key, if `name` is that of an entry of this namespace. Lies in `name`.
  [[nodiscard]] std::optional<std::string_view> key_of(std::string_view name) const;
  // Whether `name` is that of an entry of this namespace, or of its metadata.
  [[nodiscard]] bool owns(std::string_view name) const;

  // The pattern of SCAN for entries whose keys begin with `prefix`; empty: all keys fit.
  [[nodiscard]] std::string pattern(std::string_view prefix) const;

  // Whether an entry may have this key here: in the default namespace the reserved ones may not.
  [[nodiscard]] Result<> check(std::string_view key) const;

 private:
  std::string id_;
  std::string prefix_;
};

// Appends `text` so that a glob of Redis takes every character of it for itself.
void append_escaped(std::string& pattern, std::string_view text);

}  // namespace sluice::store::redis
