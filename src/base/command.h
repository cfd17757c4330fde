// The one table of commands and flags. Parsing, help, `sluice tree`, the completions, the man page,
// the SLUICE_… variables and the config file all follow from it (command_table.cc), so that they
// cannot disagree.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

// What a flag's value must be; checked before a command starts.
enum class ValueKind : std::uint8_t {
  none,      // a switch: it is on or off
  text,      // anything, also nothing
  count,     // a whole number: "50", "1,000"
  size,      // bytes: "32MB" (base/size.h)
  duration,  // "1m30s" (base/duration.h)
  ttl,       // a duration, or bare seconds as the service's own tools take
  choice,    // one of Flag::choices
  file,      // a path, "-" being stdin or stdout; offered by completion
};

// A flag. Its environment variable is SLUICE_ and its name in capitals: "max-delete" is
// SLUICE_MAX_DELETE. All texts live as long as the program.
struct Flag {
  std::string_view name;        // without the dashes
  char letter = '\0';           // the short form, or none
  std::string_view value = {};  // what help calls the value ("FILE"); empty for a switch
  ValueKind kind = ValueKind::none;
  std::uint64_t least = 0;  // of a count
  std::span<const std::string_view> choices = {};
  std::string_view standard = {};  // the default; empty: none
  std::string_view alias = {};     // a second long name that means the same
  bool repeatable = false;
  std::string_view help = {};  // a phrase, without a full stop
};

// Flags that help shows together; most are shared by several commands.
struct FlagGroup {
  std::string_view title;
  std::span<const Flag> flags;
};

// A positional argument. Only the last one of a command may be repeatable.
struct Argument {
  std::string_view name;  // "KEY"
  bool required = true;
  bool repeatable = false;
  ValueKind kind = ValueKind::text;
  std::span<const std::string_view> choices = {};
  std::string_view help = {};
};

struct Example {
  std::string_view line;  // the whole command line
  std::string_view says;  // what it does
};

struct Command {
  std::string_view path;     // "kv namespace list"
  std::string_view summary;  // a phrase, shown in lists of commands
  std::string_view description = {};
  std::span<const Argument> arguments = {};
  std::span<const FlagGroup> groups = {};  // the global flags come with every command
  // The same flags as the global ones, where some of them mean something else to this command.
  const FlagGroup* global = nullptr;
  std::span<const Example> examples = {};
  bool changes_something = false;
  bool hidden = false;  // works, and is not listed
};

// A word that holds commands: "kv", "kv namespace".
struct CommandGroup {
  std::string_view path;
  std::string_view summary;
  std::span<const Example> examples = {};
};

// The table, in the order in which help lists it.
[[nodiscard]] std::span<const Command> commands();
[[nodiscard]] std::span<const CommandGroup> command_groups();
// The flags of every command.
[[nodiscard]] const FlagGroup& global_flags();

// The command with this path, or nullptr.
[[nodiscard]] const Command* find_command(std::string_view path);
[[nodiscard]] const CommandGroup* find_command_group(std::string_view path);

// The command's flag (global ones included) with this name or alias, or nullptr.
[[nodiscard]] const Flag* find_flag(const Command& command, std::string_view name);

// Calls `visit(group)` for every group of the command's flags, the global one last.
template <class Visit>
void for_each_group(const Command& command, Visit&& visit) {
  for (const FlagGroup& group : command.groups) visit(group);
  visit(command.global != nullptr ? *command.global : global_flags());
}

// "max-delete" → "SLUICE_MAX_DELETE".
[[nodiscard]] std::string environment_name(std::string_view flag);

// Checks that `text` is a value that `flag` takes. The message is a sentence that begins with
// `source`, the name that the user knows the value by ("--concurrency", "SLUICE_CONCURRENCY").
Result<> check_value(const Flag& flag, std::string_view text, std::string_view source);

// Reads the value of a switch as the environment and the config file write it: 1, true, yes, on;
// 0, false, no, off, and nothing.
[[nodiscard]] std::optional<bool> parse_switch(std::string_view text);

}  // namespace sluice
