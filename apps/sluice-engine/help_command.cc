#include "base/help.h"
#include "base/json_text.h"
#include "base/version.h"
#include "commands.h"

namespace sluice::cli {

ExitCode run_help(Context& context, const Invocation& invocation) {
  std::string path;
  for (const std::string& word : invocation.arguments()) path += (path.empty() ? "" : " ") + word;
  const Result<std::string> text = help_text(path);
  if (!text) return report_error(context, text.error());
  if (!invocation.on("json")) {
    print(*text);
    return ExitCode::done;
  }
  std::string json = "{\"command\":";
  append_json_string(json, path);
  json += ",\"help\":";
  append_json_string(json, *text);
  print(json + "}\n");
  return ExitCode::done;
}

ExitCode run_man(Context&, const Invocation&) {
  print(manual_page(version()));
  return ExitCode::done;
}

}  // namespace sluice::cli
