// Completion scripts, made from the table of commands.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

// The script for "bash", "zsh" or "fish". It completes commands, flags, and the values of flags
// that take one of a few words or a file. An unknown shell is an invalid_argument.
Result<std::string> completion_script(std::string_view shell);

}  // namespace sluice
