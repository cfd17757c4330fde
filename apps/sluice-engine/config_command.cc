#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "base/config.h"
#include "base/descriptor.h"
#include "base/json_text.h"
#include "base/uri.h"
#include "base/utf8.h"
#include "commands.h"
#include "kv_store.h"
#include "table.h"

namespace sluice::cli {
namespace {

bool exists(const std::string& path) {
  struct stat status{};
  return lstat(path.c_str(), &status) == 0;
}

// Writes a new file for its owner only. It appears complete or not at all, so that a power cut
// leaves the old one.
Result<> write_private_file(const std::string& path, std::string_view text) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (!folder.empty() && !exists(folder)) {
    std::error_code error;
    const std::filesystem::path above = std::filesystem::path(folder).parent_path();
    if (!above.empty()) std::filesystem::create_directories(above, error);
    // 0700, as the XDG Base Directory Specification says.
    if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
      return std::unexpected(system_error(errno, "create the folder " + folder));
    }
  }
  const std::string temporary = fmt::format("{}.{}.new", path, getpid());
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return std::unexpected(system_error(errno, "create " + temporary));
  const Result<> written = write_all(file, temporary, text);
  int failed = fsync(file) != 0 ? errno : 0;
  if (close(file) != 0 && failed == 0) failed = errno;
  if (written && failed == 0 && std::rename(temporary.c_str(), path.c_str()) != 0) failed = errno;
  if (written && failed == 0) return {};
  unlink(temporary.c_str());
  if (!written) return written;
  return std::unexpected(system_error(failed, "write " + path));
}

// Why the config file cannot be used, if it cannot: these commands run all the same, and must not
// show settings as if they were in effect.
Result<> check_file(const std::string& path, bool asked_for) {
  if (!exists(path) && !asked_for) return {};
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return std::unexpected(system_error(errno, "read the config file " + path));
  if (const Result<Config> config = Config::parse(text.str(), path); !config) {
    return std::unexpected(config.error());
  }
  return {};
}

// The value as it may be shown.
std::string shown(const ConfigKey& key, const Setting& setting) {
  if (setting.secret) return "***";
  return key.flag == "store" ? without_password(setting.value) : setting.value;
}

// "environment (SLUICE_STORE)".
std::string whence(const ConfigKey& key, Origin origin, const Getenv& environment) {
  if (origin == Origin::flag) return fmt::format("flag --{}", key.flag);
  if (origin != Origin::environment) return std::string(name(origin));
  const std::string by_flag = key.flag.empty() ? std::string{} : environment_name(key.flag);
  const bool flag_is_set = !by_flag.empty() && !environment(by_flag).value_or("").empty();
  return fmt::format("environment ({})", flag_is_set ? by_flag : std::string(key.environment));
}

}  // namespace

ExitCode run_config_init(Context& context, const Invocation& invocation) {
  const std::string& path = context.config_path;
  if (exists(path) && !invocation.on("yes")) {
    context.console.error(
        {ErrorCode::conflict, Retry::never, std::nullopt,
         fmt::format("{} exists already. Edit it, or overwrite it with --yes.", path)});
    return ExitCode::failed;
  }
  if (const Result<> written = write_private_file(path, sample_config()); !written) {
    return report_error(context, written.error());
  }
  if (invocation.on("json")) {
    std::string json = "{\"path\":";
    append_json_string(json, path);
    print(json + ",\"written\":true}\n");
  } else {
    print(fmt::format("{}\n", path));
    context.console.say(
        "Every setting in it is a comment still: edit it, then try `sluice doctor`.");
  }
  return ExitCode::done;
}

ExitCode run_config_path(Context& context, const Invocation& invocation) {
  if (!invocation.on("json")) {
    print(fmt::format("{}\n", context.config_path));
    return ExitCode::done;
  }
  std::string json = "{\"path\":";
  append_json_string(json, context.config_path);
  json += fmt::format(",\"exists\":{}}}\n", exists(context.config_path));
  print(json);
  return ExitCode::done;
}

ExitCode run_config_show(Context& context, const Invocation& invocation) {
  const bool asked_for = invocation.value("config").has_value();
  if (const Result<> usable = check_file(context.config_path, asked_for); !usable) {
    return report_error(context, usable.error());
  }
  std::string json = "{\"path\":";
  append_json_string(json, context.config_path);
  json += fmt::format(",\"exists\":{},\"settings\":[", exists(context.config_path));
  Table table({{"SETTING"}, {"VALUE"}, {"FROM"}});
  for (const ConfigKey& key : config_keys()) {
    std::optional<Setting> setting =
        effective_setting(key, invocation, context.config, context.environment);
    std::string from;
    if (setting) {
      from = whence(key, setting->origin, context.environment);
    } else if (key.flag == "store") {
      setting = Setting{store_url(context, invocation), Origin::standard, false};
      from = setting->value == "sqlite:" ? "default" : "default, since an API token is set";
    }
    const std::string value = setting ? shown(key, *setting) : std::string{};
    table.add({std::string(key.key), setting ? value : "-", from});

    if (json.back() != '[') json += ',';
    json += "{\"key\":";
    append_json_string(json, key.key);
    json += ",\"value\":";
    if (setting) {
      append_json_string(json, is_utf8(value) ? value : printable(value));
    } else {
      json += "null";
    }
    if (setting) {
      json += ",\"origin\":";
      append_json_string(json, name(setting->origin));
    }
    json += fmt::format(",\"secret\":{}}}", key.secret);
  }
  if (invocation.on("json")) {
    print(json + "]}\n");
  } else {
    print(table.text());
    context.console.say(
        "{}{}", context.config_path,
        exists(context.config_path) ? "" : " does not exist; `sluice config init` writes it");
  }
  return ExitCode::done;
}

}  // namespace sluice::cli
