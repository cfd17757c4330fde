#include "base/invocation.h"

#include <algorithm>
#include <stdexcept>

#include "base/duration.h"
#include "base/size.h"

namespace sluice {
namespace {

Result<> check_arguments(const Command& command, const std::vector<std::string>& arguments) {
  const std::span<const Argument> expected = command.arguments;
  const auto required =
      static_cast<std::size_t>(std::ranges::count(expected, true, &Argument::required));
  if (arguments.size() < required) {
    return fail(ErrorCode::invalid_argument, "`sluice {}` needs {}: {}.", command.path,
                expected[arguments.size()].name, expected[arguments.size()].help);
  }
  const bool open_ended = !expected.empty() && expected.back().repeatable;
  if (!open_ended && arguments.size() > expected.size()) {
    const std::string_view what = expected.empty() ? "no arguments" : "no argument more";
    return fail(ErrorCode::invalid_argument, "`sluice {}` takes {}: \"{}\" is too much.",
                command.path, what, arguments[expected.size()]);
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const Argument& argument = expected[std::min(i, expected.size() - 1)];
    const Flag as_flag{.name = argument.name, .kind = argument.kind, .choices = argument.choices};
    if (Result<> ok = check_value(as_flag, arguments[i], argument.name); !ok) return ok;
  }
  return {};
}

// Whether any command has a flag of this name: look-ups of others are mistakes in the program.
bool in_the_table(std::string_view flag) {
  return std::ranges::any_of(
      commands(), [&](const Command& command) { return find_flag(command, flag) != nullptr; });
}

}  // namespace

std::string_view name(Origin origin) {
  switch (origin) {
    case Origin::flag:
      return "flag";
    case Origin::environment:
      return "environment";
    case Origin::config:
      return "config";
    case Origin::standard:
      return "default";
  }
  return "unknown";
}

Result<Invocation> Invocation::make(const Command& command, const std::vector<Given>& flags,
                                    std::vector<std::string> arguments, const Getenv& environment) {
  Invocation invocation(command);
  for (const Given& given : flags) {
    const Flag* flag = find_flag(command, given.flag);
    if (flag == nullptr) {
      return fail(ErrorCode::invalid_argument, "`sluice {}` has no flag --{}.", command.path,
                  given.flag);
    }
    if (Result<> ok = check_value(*flag, given.value, "--" + given.flag); !ok) {
      return std::unexpected(std::move(ok.error()));
    }
    Value& value = invocation.values_[flag->name];
    if (flag->kind == ValueKind::none) value.texts.clear();
    if (!value.texts.empty() && !flag->repeatable) {
      return fail(ErrorCode::invalid_argument, "--{} is given twice to `sluice {}`; give it once.",
                  flag->name, command.path);
    }
    value.texts.push_back(given.value);
  }

  std::optional<Error> refused;
  for_each_group(command, [&](const FlagGroup& group) {
    for (const Flag& flag : group.flags) {
      if (refused || invocation.values_.contains(flag.name)) continue;
      // A forgotten SLUICE_HELP would make every command useless.
      if (flag.name == "help") continue;
      const std::string variable = environment_name(flag.name);
      std::optional<std::string> text = environment(variable);
      // As everywhere in a shell, a variable that is set to nothing counts as not set.
      if (!text || text->empty()) continue;
      if (Result<> ok = check_value(flag, *text, variable); !ok) {
        refused = std::move(ok.error());
        continue;
      }
      invocation.values_[flag.name] = Value{{std::move(*text)}, Origin::environment};
    }
  });
  if (refused) return std::unexpected(std::move(*refused));

  if (Result<> ok = check_arguments(command, arguments); !ok) {
    return std::unexpected(std::move(ok.error()));
  }
  invocation.arguments_ = std::move(arguments);
  return invocation;
}

const Flag* Invocation::known(std::string_view flag) const {
  const Flag* found = find_flag(*command_, flag);
  if (found == nullptr && !in_the_table(flag)) {
    throw std::logic_error(fmt::format("no command has a flag --{}", flag));
  }
  return found;
}

bool Invocation::on(std::string_view flag) const {
  const Flag* found = known(flag);
  if (found == nullptr) return false;
  const auto value = values_.find(found->name);
  return value != values_.end() && parse_switch(value->second.texts.back()).value_or(false);
}

std::optional<std::string> Invocation::value(std::string_view flag) const {
  const Flag* found = known(flag);
  if (found == nullptr) return std::nullopt;
  if (const auto value = values_.find(found->name); value != values_.end()) {
    return value->second.texts.back();
  }
  if (found->standard.empty()) return std::nullopt;
  return std::string(found->standard);
}

std::vector<std::string> Invocation::values(std::string_view flag) const {
  const Flag* found = known(flag);
  if (found == nullptr) return {};
  const auto value = values_.find(found->name);
  return value == values_.end() ? std::vector<std::string>{} : value->second.texts;
}

std::optional<std::uint64_t> Invocation::count(std::string_view flag) const {
  const std::optional<std::string> text = value(flag);
  if (!text) return std::nullopt;
  return parse_count(*text).value();
}

std::optional<std::uint64_t> Invocation::size(std::string_view flag) const {
  const std::optional<std::string> text = value(flag);
  if (!text) return std::nullopt;
  return parse_size(*text).value();
}

std::optional<std::chrono::milliseconds> Invocation::duration(std::string_view flag) const {
  const std::optional<std::string> text = value(flag);
  if (!text) return std::nullopt;
  if (const Flag* found = known(flag); found->kind == ValueKind::ttl) {
    if (const Result<std::uint64_t> seconds = parse_count(*text)) {
      return std::chrono::seconds{*seconds};
    }
  }
  return parse_duration(*text).value();
}

std::optional<Origin> Invocation::origin(std::string_view flag) const {
  const Flag* found = known(flag);
  if (found == nullptr) return std::nullopt;
  if (const auto value = values_.find(found->name); value != values_.end()) {
    return value->second.origin;
  }
  if (found->standard.empty()) return std::nullopt;
  return Origin::standard;
}

}  // namespace sluice
