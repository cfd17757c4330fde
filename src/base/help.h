// Help, made from the table of commands. All texts are plain UTF-8 of at most 100 columns and end
// in a new line.
#pragma once

#include <string>
#include <string_view>

#include "base/command.h"
#include "base/error.h"

namespace sluice {

// All commands, one a line, with how to go on from there: what `sluice` alone prints.
[[nodiscard]] std::string overview();

// The help of the command or group of commands with this path: "kv list", "kv". The empty path is
// the overview. An unknown one is an invalid_argument with the nearest known.
Result<std::string> help_text(std::string_view path);

// The error for words that are no command: names the nearest one, or what the group holds.
[[nodiscard]] Error unknown_command(std::string_view path);

// The tree of commands, with every flag if `flags`.
[[nodiscard]] std::string command_tree(bool flags);

// Commands, arguments and flags as one JSON document.
[[nodiscard]] std::string command_tree_json();

// The manual page sluice(1), in roff's man macros. `version` stands in its footer.
[[nodiscard]] std::string manual_page(std::string_view version);

}  // namespace sluice
