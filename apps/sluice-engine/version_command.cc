#include "base/version.h"
#include "commands.h"

namespace sluice::cli {

ExitCode run_version(Context&, const Invocation& invocation) {
  print(fmt::format(
      fmt::runtime(invocation.on("json") ? "{{\"name\":\"sluice\",\"version\":\"{}\"}}\n"
                                         : "sluice {}\n"),
      version()));
  return ExitCode::done;
}

}  // namespace sluice::cli
