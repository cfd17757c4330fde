// Folders: where Sluice keeps things, by the XDG Base Directory Specification.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::cli {

struct Folders {
  std::string config;  // $XDG_CONFIG_HOME/sluice
  std::string data;    // $XDG_DATA_HOME/sluice
  std::string state;   // $XDG_STATE_HOME/sluice
  std::string cache;   // $XDG_CACHE_HOME/sluice

  // As the specification says, a variable with a relative path counts as not set. Without $HOME,
  // the password database says where the user's own folder is; never the current folder, where
  // somebody else may have put a config file.
  static Folders from(
      const std::function<std::optional<std::string>(std::string_view)>& environment);

  [[nodiscard]] std::string jobs() const { return state + "/jobs"; }
  [[nodiscard]] std::string config_file() const { return config + "/config.toml"; }
};

}  // namespace sluice::cli
