#include "base/help.h"
#include "commands.h"

namespace sluice::cli {

ExitCode run_tree(Context&, const Invocation& invocation) {
  print(invocation.on("json") ? command_tree_json() : command_tree(invocation.on("flags")));
  return ExitCode::done;
}

}  // namespace sluice::cli
