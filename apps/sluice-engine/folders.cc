#include "folders.h"

#include <pwd.h>
#include <unistd.h>

namespace sluice::cli {

Folders Folders::from(
    const std::function<std::optional<std::string>(std::string_view)>& environment) {
  std::string home = environment("HOME").value_or("");
  if (!home.starts_with('/')) {
    const struct passwd* user = ::getpwuid(::geteuid());
    home = user != nullptr ? user->pw_dir : "/nonexistent";
  }
  const auto folder = [&](std::string_view variable, std::string_view standard) {
    const std::string base = environment(variable).value_or("");
    return (base.starts_with('/') ? base : home + std::string(standard)) + "/sluice";
  };
  return {.config = folder("XDG_CONFIG_HOME", "/.config"),
          .data = folder("XDG_DATA_HOME", "/.local/share"),
          .state = folder("XDG_STATE_HOME", "/.local/state"),
          .cache = folder("XDG_CACHE_HOME", "/.cache")};
}

}  // namespace sluice::cli
