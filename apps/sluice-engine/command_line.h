// The command line of the process, understood.
#pragma once

#include <span>
#include <string>

#include "base/error.h"
#include "base/invocation.h"

namespace sluice::cli {

// Reads the words that follow the program's name. Flags may stand before, between and after the
// words of the command; "--" ends them. `--help` anywhere, and no words at all, are the command
// "help";
// `--version` is "version".
//
// Fails with invalid_argument (exit code 2) in one sentence, which says what is wrong, the nearest
// known name, and where the help is.
Result<Invocation> parse_command_line(std::span<const std::string> words,
                                      const Getenv& environment);

}  // namespace sluice::cli
