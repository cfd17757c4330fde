// Where a git repository lies, and whose it is.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/invocation.h"

namespace sluice::cache_cli {

struct GitRepository {
  std::string folder;      // that its .git lies in
  std::string git_dir;     // of this work tree
  std::string common_dir;  // of all its work trees: where its configuration is
  bool named = false;      // by GIT_DIR
};

// That of GIT_DIR, or the one that `folder` lies in.
std::optional<GitRepository> find_git_repository(const std::string& folder,
                                                 const Getenv& environment);

// Whether it is the user's own, as git wants it to be before it believes its configuration (see
// safe.directory in git-config(1)): anybody may put a repository above where others work. One that
// the environment names is.
bool is_ours(const GitRepository& repository, const Getenv& environment);

// The text of a regular file; none if it cannot be read, or has more than 1 MiB. Configuration has
// some kilobytes.
std::optional<std::string> read_git_file(const std::string& path);
std::string folder_of(const std::string& path);
// `path` as seen from `folder`.
std::string path_from(const std::string& folder, const std::string& path);

}  // namespace sluice::cache_cli
