// The fast path: cache commands that the front runs itself.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/invocation.h"

namespace sluice::front {

// Understands the words that follow the program's name if they are a command that the front runs,
// with flags that it knows, and right in all. Nothing: they are the engine's, and so is what there
// is to say about them.
std::optional<Invocation> understand(std::span<const std::string> words, const Getenv& environment);

// Runs such a command and returns its exit code; nothing: the engine has to, and nothing was done.
std::optional<int> run_fast(std::span<const std::string> words, const Getenv& environment);

}  // namespace sluice::front
