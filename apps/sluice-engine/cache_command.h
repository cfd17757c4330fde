// The commands of `sluice cache` in the engine: those that the front runs, too (apps/cache), and
// the rest.
#pragma once

#include <span>
#include <string>

#include "context.h"
#include "session.h"

namespace sluice::cli {

// Runs whichever cache command `invocation` is.
ExitCode run_cache(Context& context, const Invocation& invocation);

// Whether the words of the command line are `cache exec` or `cache lock`: errors of Sluice's own
// are then told by exit code 125, those of the command line included.
[[nodiscard]] bool runs_a_command(std::span<const std::string> words);

// The commands that only the engine has, one function each. They return the exit code.
int run_cache_list(Context& context, cache_cli::Session& session);
int run_cache_stats(Context& context, cache_cli::Session& session);
int run_cache_limit(Context& context, cache_cli::Session& session);
int run_cache_gc(Context& context, cache_cli::Session& session);
int run_cache_verify(Context& context, cache_cli::Session& session);
int run_cache_repair(Context& context, cache_cli::Session& session);
int run_cache_clear(Context& context, cache_cli::Session& session);
int run_cache_health(Context& context, cache_cli::Session& session);

}  // namespace sluice::cli
