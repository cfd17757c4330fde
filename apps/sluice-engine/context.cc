#include "context.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace sluice::cli {

namespace {

Console::Options console_options(const Invocation& invocation, const Getenv& environment) {
  const std::string color = invocation.value("color").value_or("auto");
  return {.color = color == "always"  ? Color::always
                   : color == "never" ? Color::never
                                      : Color::automatic,
          .quiet = invocation.on("quiet"),
          .verbose = invocation.on("verbose"),
          // no-color.org: set and not empty.
          .no_color = !environment("NO_COLOR").value_or("").empty()};
}

LogLevel log_level(const Invocation& invocation) {
  // --verbose shows the timing of each operation, which the log holds at debug.
  const auto level = parse_log_level(invocation.value("log-level").value_or("warn"));
  const bool chosen = invocation.origin("log-level").value_or(Origin::standard) != Origin::standard;
  if (invocation.on("verbose") && !chosen) return LogLevel::debug;
  return level.value_or(LogLevel::warn);
}

}  // namespace

Result<Config> read_config(const std::string& path, bool asked_for) {
  std::ifstream file(path);
  if (!file) {
    if (!asked_for && errno == ENOENT) return Config();
    Error error = system_error(errno, fmt::format("read the config file {}", path));
    if (error.code == ErrorCode::not_found) error.code = ErrorCode::io;  // that is said of entries
    return std::unexpected(std::move(error));
  }
  if (std::error_code ignored; std::filesystem::is_directory(path, ignored)) {
    return fail(ErrorCode::io, "The config file {} is a folder.", path);
  }
  std::ostringstream text;
  text << file.rdbuf();
  return Config::parse(text.str(), path);
}

Context::Context(const Invocation& given, Config file, std::string file_path, Getenv getenv)
    : invocation(&given),
      config(std::move(file)),
      config_path(std::move(file_path)),
      environment(std::move(getenv)),
      folders(Folders::from(environment)),
      console(console_options(given, environment)),
      log(log_level(given)),
      stop(loop.executor()) {}

std::optional<Setting> Context::setting(std::string_view variable) const {
  return find_setting(variable, *invocation, config, environment);
}

RunGuard Context::guard() {
  return {loop, stop, console, invocation->duration("deadline")};
}

store::Environment Context::store_environment() {
  return store_environment(loop.executor(), stop, stopped);
}

store::Environment Context::store_environment(io::Executor executor, io::Stop& its_stop,
                                              std::shared_ptr<const std::atomic<bool>> give_up) {
  flow::Gate::Options gate;
  gate.concurrency = invocation->count("concurrency").value_or(10);
  const std::string rate = invocation->value("rate").value_or("");
  if (rate == "off") {
    gate.quota_is_fixed = true;
  } else if (!rate.empty()) {
    // Checked by main before any command runs.
    if (const auto quota = flow::parse_quota(rate)) gate.quota = *quota;
    gate.quota_is_fixed = true;
  }
  return {.executor = executor,
          .stop = its_stop,
          .log = log,
          .setting =
              [this](std::string_view variable) {
                const auto found = setting(variable);
                return found ? found->value : std::string();
              },
          .data_folder = folders.data,
          .gate = gate,
          .retry = {},
          .request_timeout = invocation->duration("timeout").value_or(std::chrono::minutes(1)),
          .give_up = std::move(give_up),
          .budget_folder = flow::Budget::folder(environment("XDG_RUNTIME_DIR").value_or(""),
                                                environment("TMPDIR").value_or(""))};
}

}  // namespace sluice::cli
