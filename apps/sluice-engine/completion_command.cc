#include "base/completion.h"
#include "base/json_text.h"
#include "commands.h"

namespace sluice::cli {

ExitCode run_completion(Context& context, const Invocation& invocation) {
  const Result<std::string> script = completion_script(invocation.arguments().front());
  if (!script) return report_error(context, script.error());
  if (!invocation.on("json")) {
    print(*script);
    return ExitCode::done;
  }
  std::string json = "{\"shell\":";
  append_json_string(json, invocation.arguments().front());
  json += ",\"script\":";
  append_json_string(json, *script);
  print(json + "}\n");
  return ExitCode::done;
}

}  // namespace sluice::cli
