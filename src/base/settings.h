// Settings: the values that a backend asks for by the name of an environment variable.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/config.h"
#include "base/invocation.h"

namespace sluice {

struct Setting {
  std::string value;
  Origin origin = Origin::environment;
  bool secret = false;
};

// The value that stands for the environment variable `variable` ("CLOUDFLARE_ACCOUNT_ID"): the flag
// that sets the same (--account), else the variable, else the config file (cloudflare.account_id).
// Variables that no config key stands for are only looked up in the environment. None if nothing
// sets it; an empty value counts as not set. `invocation` must have had `use(config)`.
[[nodiscard]] std::optional<Setting> find_setting(std::string_view variable,
                                                  const Invocation& invocation,
                                                  const Config& config, const Getenv& environment);

// The value in effect for a key of the config file, or none if it has not even a default: for
// `config show`. Also for keys whose flag `invocation`'s command does not have.
[[nodiscard]] std::optional<Setting> effective_setting(const ConfigKey& key,
                                                       const Invocation& invocation,
                                                       const Config& config,
                                                       const Getenv& environment);

}  // namespace sluice
