#include "base/command.h"

#include <algorithm>

#include "base/duration.h"
#include "base/size.h"
#include "base/text_distance.h"

namespace sluice {

namespace {

// A century: what is longer is a mistake, and might not fit where it is counted in nanoseconds.
constexpr std::uint64_t kMostSeconds = 3'155'760'000;

}  // namespace

const Command* find_command(std::string_view path) {
  const auto found = std::ranges::find(commands(), path, &Command::path);
  return found == commands().end() ? nullptr : &*found;
}

const CommandGroup* find_command_group(std::string_view path) {
  const auto found = std::ranges::find(command_groups(), path, &CommandGroup::path);
  return found == command_groups().end() ? nullptr : &*found;
}

const Flag* find_flag(const Command& command, std::string_view name) {
  const Flag* found = nullptr;
  for_each_group(command, [&](const FlagGroup& group) {
    for (const Flag& flag : group.flags) {
      if (found == nullptr && (flag.name == name || (!name.empty() && flag.alias == name))) {
        found = &flag;
      }
    }
  });
  return found;
}

std::string environment_name(std::string_view flag) {
  std::string name = "SLUICE_";
  for (const char c : flag) {
    name += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return name;
}

std::optional<bool> parse_switch(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (lower == "1" || lower == "true" || lower == "yes" || lower == "on") return true;
  if (lower.empty() || lower == "0" || lower == "false" || lower == "no" || lower == "off") {
    return false;
  }
  return std::nullopt;
}

Result<> check_value(const Flag& flag, std::string_view text, std::string_view source) {
  const auto refuse = [&](const Error& reason) {
    return fail(ErrorCode::invalid_argument, "{}: {}", source, reason.message);
  };
  switch (flag.kind) {
    case ValueKind::none:
      if (!parse_switch(text)) {
        return fail(ErrorCode::invalid_argument,
                    "{} is a switch: it takes true or false, not \"{}\".", source, text);
      }
      return {};
    case ValueKind::text:
      return {};
    case ValueKind::file:
      if (text.empty()) {
        return fail(ErrorCode::invalid_argument, "{} needs the name of a file.", source);
      }
      return {};
    case ValueKind::count:
      if (const auto count = parse_count(text); !count) {
        return refuse(count.error());
      } else if (*count < flag.least) {
        return fail(ErrorCode::invalid_argument, "{} must be at least {}, not {}.", source,
                    flag.least, *count);
      }
      return {};
    case ValueKind::size:
      if (const auto size = parse_size(text); !size) {
        return refuse(size.error());
      } else if (*size < flag.least) {
        return fail(ErrorCode::invalid_argument, "{} must be at least {}, not {}.", source,
                    format_count(flag.least, "byte"), *size);
      }
      return {};
    case ValueKind::ttl:
      if (const auto seconds = parse_count(text)) {
        if (*seconds <= kMostSeconds) return {};
        return fail(ErrorCode::invalid_argument, "{}: {} seconds are too long.", source, text);
      }
      [[fallthrough]];
    case ValueKind::duration:
      if (const auto duration = parse_duration(text); !duration) {
        return refuse(duration.error());
      } else if (duration->count() < static_cast<std::int64_t>(flag.least)) {
        return fail(ErrorCode::invalid_argument, "{} must be at least {} ms, not {}.", source,
                    flag.least, text);
      }
      return {};
    case ValueKind::choice: {
      if (std::ranges::find(flag.choices, text) != flag.choices.end()) return {};
      std::string list;
      for (const std::string_view choice : flag.choices) {
        if (!list.empty()) list += choice == flag.choices.back() ? " or " : ", ";
        list += choice;
      }
      return fail(ErrorCode::invalid_argument, "{} takes {}, not \"{}\".{}", source, list, text,
                  did_you_mean(text, flag.choices));
    }
  }
  return {};
}

}  // namespace sluice
