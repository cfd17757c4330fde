// Reads git's configuration files, without starting git.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/invocation.h"

namespace sluice::cache_cli {

// One setting: the section and the variable in lower case, the subsection as written.
struct GitSetting {
  std::string section;
  std::string subsection;
  std::string variable;
  std::string value;  // "true" for a variable without one
};

// Calls `each` with the settings of a configuration file's text, in order, as git-config(1),
// "CONFIGURATION FILE", describes the syntax. False at the first line that does not keep to it;
// what came before has been given out.
bool parse_git_config(std::string_view text, const std::function<void(const GitSetting&)>& each);

// The value of user.email that `git config user.email` would give in `folder`, or none: the files
// of the system, of the user and of the repository that `folder` lies in, what they include
// (include.path, includeIf with gitdir: and gitdir/i:), and git's own variables (GIT_CONFIG_GLOBAL,
// GIT_CONFIG_SYSTEM, GIT_CONFIG_NOSYSTEM, GIT_DIR, GIT_CONFIG_COUNT). A repository that belongs to
// somebody else says nothing unless safe.directory names it, nor do files that cannot be read or
// understood.
std::optional<std::string> git_user_email(const std::string& folder, const Getenv& environment);

}  // namespace sluice::cache_cli
