// Invocation and the config file, and an invocation as text: what the front does without.
#include <algorithm>

#include "base/config.h"
#include "base/invocation.h"
#include "base/shell.h"
#include "base/uri.h"

namespace sluice {

void Invocation::use(const Config& config) {
  for (const ConfigKey& key : config_keys()) {
    if (key.flag.empty()) continue;
    const Flag* flag = find_flag(*command_, key.flag);
    if (flag == nullptr || values_.contains(flag->name)) continue;
    if (const std::optional<std::string_view> text = config.get(key.key)) {
      values_[flag->name] = Value{{std::string(*text)}, Origin::config};
    }
  }
}

std::vector<std::string> Invocation::words(std::span<const std::string_view> except) const {
  std::vector<std::string> words;
  for_each_group(*command_, [&](const FlagGroup& group) {
    for (const Flag& flag : group.flags) {
      const auto value = values_.find(flag.name);
      if (value == values_.end() || value->second.origin > Origin::environment) continue;
      if (std::ranges::find(except, flag.name) != except.end()) continue;
      for (const std::string& text : value->second.texts) {
        if (flag.kind != ValueKind::none) {
          words.push_back(fmt::format("--{}={}", flag.name, without_password(text)));
        } else if (parse_switch(text).value_or(false)) {
          words.push_back(fmt::format("--{}", flag.name));
        }
      }
    }
  });
  if (!arguments_.empty()) words.emplace_back("--");
  words.insert(words.end(), arguments_.begin(), arguments_.end());
  return words;
}

std::string Invocation::command_line(std::span<const std::string_view> except) const {
  std::string line = "sluice " + std::string(path());
  bool dashed = false;
  std::string words;
  for (const std::string& argument : arguments_) {
    dashed = dashed || (argument.starts_with('-') && argument != "-");
    words += ' ' + shell_quoted(argument);
  }
  for_each_group(*command_, [&](const FlagGroup& group) {
    for (const Flag& flag : group.flags) {
      const auto value = values_.find(flag.name);
      if (value == values_.end() || value->second.origin != Origin::flag) continue;
      if (std::ranges::find(except, flag.name) != except.end()) continue;
      for (const std::string& text : value->second.texts) {
        if (flag.kind != ValueKind::none) {
          line += fmt::format(" --{}={}", flag.name, shell_quoted(without_password(text)));
        } else if (parse_switch(text).value_or(false)) {
          line += fmt::format(" --{}", flag.name);
        }
      }
    }
  });
  return line + (dashed ? " --" : "") + words;
}

}  // namespace sluice
