// Location: where a namespace of the local cache lives.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::localcache {

// The namespace of the scripts that want to share their entries.
inline constexpr std::string_view kSharedNamespace = "shared";
inline constexpr std::string_view kDefaultNamespace = "default";

// A namespace is a folder of that name in the root, and nothing outside it:
//
//   ROOT/NAME/cache.db      the entries, and values up to 64 KiB (see schema.h)
//   ROOT/NAME/values/       larger values, a file each
//   ROOT/NAME/locks/        a file for each name that was locked
//   ROOT/NAME/statistics    the mapped file of Statistics
//   ROOT/NAME/reserve       a megabyte of nothing, for deleting on a full disk (see reserve.h)
//   ROOT/NAME/users         locked by all who have it open, so that `repair` can have it alone
struct Location {
  std::string root;  // an absolute path
  std::string name{kDefaultNamespace};
  // Folders are made with mode 2770 and files with 0660, for a cache that a group shares. Otherwise
  // 0700 and 0600, whatever the umask is.
  bool for_group = false;

  [[nodiscard]] std::string folder() const { return root + "/" + name; }
  // What a repair has made, while it puts it in the place of the damaged one.
  [[nodiscard]] std::string repaired_database() const { return database() + ".repaired"; }
  [[nodiscard]] std::string database() const { return folder() + "/cache.db"; }
  [[nodiscard]] std::string values() const { return folder() + "/values"; }
  [[nodiscard]] std::string locks() const { return folder() + "/locks"; }
  [[nodiscard]] std::string statistics() const { return folder() + "/statistics"; }
  [[nodiscard]] std::string reserve() const { return folder() + "/reserve"; }
  [[nodiscard]] std::string users() const { return folder() + "/users"; }
};

// The folder of all namespaces of one user: "sluice/cache" in `cache_home` ($XDG_CACHE_HOME, if it
// is an absolute path), else in ".cache" of `home`. An error if neither is one.
Result<std::string> default_root(std::string_view cache_home, std::string_view home);

// Whether `name` can be a namespace: 1 to 200 bytes, none of them a slash or a control character,
// and no dot at the beginning. The error says what is wrong with it. Every path is built from a
// name that has passed this.
Result<> check_namespace(std::string_view name);

// Makes the folders of a namespace that are missing. One that is a symbolic link is refused, and
// one that belongs to another user, unless the cache is for a group. Those of a namespace that is
// not for a group get the mode 0700, if others could enter them.
Result<> make_folders(const Location& location);

// Whether what is in a namespace may be given out: not through a symbolic link, nor, unless the
// cache is for a group, what belongs to another user than this one or root. Nothing there is fine.
Result<> check_readable(const Location& location);

// The namespaces that have a database, in the order of their names. None if there is no root.
Result<std::vector<std::string>> list_namespaces(const std::string& root);

// Whether `path` (or the nearest folder above it that exists) lies on a file system that other
// machines may use too, where memory cannot be shared with them: NFS, SMB, FUSE and the like.
[[nodiscard]] bool on_network_file_system(const std::string& path);

}  // namespace sluice::localcache
