#include "base/settings.h"

namespace sluice {

std::optional<Setting> find_setting(std::string_view variable, const Invocation& invocation,
                                    const Config& config, const Getenv& environment) {
  const ConfigKey* key = find_config_key_of_variable(variable);
  const bool secret = key != nullptr && key->secret;
  if (key != nullptr && !key->flag.empty()) {
    const std::optional<Origin> origin = invocation.origin(key->flag);
    if (origin == Origin::flag || origin == Origin::environment) {
      return Setting{*invocation.value(key->flag), *origin, secret};
    }
  }
  if (std::optional<std::string> value = environment(variable); value && !value->empty()) {
    return Setting{std::move(*value), Origin::environment, secret};
  }
  if (key != nullptr) {
    if (const std::optional<std::string_view> value = config.get(key->key);
        value && !value->empty()) {
      return Setting{std::string(*value), Origin::config, secret};
    }
  }
  return std::nullopt;
}

std::optional<Setting> effective_setting(const ConfigKey& key, const Invocation& invocation,
                                         const Config& config, const Getenv& environment) {
  if (!key.environment.empty()) {
    return find_setting(key.environment, invocation, config, environment);
  }
  // Without either, only the file can say it.
  const bool has_flag = !key.flag.empty();
  if (has_flag && invocation.origin(key.flag) == Origin::flag) {
    return Setting{*invocation.value(key.flag), Origin::flag, key.secret};
  }
  if (has_flag) {
    if (std::optional<std::string> value = environment(environment_name(key.flag));
        value && !value->empty()) {
      return Setting{std::move(*value), Origin::environment, key.secret};
    }
  }
  if (const std::optional<std::string_view> value = config.get(key.key)) {
    return Setting{std::string(*value), Origin::config, key.secret};
  }
  if (!has_flag) return std::nullopt;
  for (const Command& command : commands()) {
    const Flag* flag = find_flag(command, key.flag);
    if (flag == nullptr) continue;
    if (flag->standard.empty()) break;
    return Setting{std::string(flag->standard), Origin::standard, key.secret};
  }
  return std::nullopt;
}

}  // namespace sluice
