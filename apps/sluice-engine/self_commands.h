// The commands that are about Sluice itself: its settings, its help, whether all is in order.
#pragma once

#include "base/error.h"
#include "base/invocation.h"
#include "context.h"

namespace sluice::cli {

// Each prints its result to stdout and its errors to the console, and returns the exit code. They run
// also when the config file is broken; `doctor` and `config show` say that it is.
ExitCode run_config_init(Context& context, const Invocation& invocation);
ExitCode run_config_show(Context& context, const Invocation& invocation);
ExitCode run_config_path(Context& context, const Invocation& invocation);
ExitCode run_doctor(Context& context, const Invocation& invocation);
ExitCode run_tree(Context& context, const Invocation& invocation);
ExitCode run_completion(Context& context, const Invocation& invocation);
ExitCode run_version(Context& context, const Invocation& invocation);
ExitCode run_help(Context& context, const Invocation& invocation);
ExitCode run_man(Context& context, const Invocation& invocation);

}  // namespace sluice::cli
