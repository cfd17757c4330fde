// Context: the surroundings in which a command runs.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/config.h"
#include "base/invocation.h"
#include "base/settings.h"
#include "console.h"
#include "flow/progress.h"
#include "folders.h"
#include "io/stop.h"
#include "io/task.h"
#include "signals.h"
#include "store/registry.h"
#include "telemetry/log.h"

namespace sluice::cli {

// Reads the config file at `path`. One that was not `asked_for` may be absent.
Result<Config> read_config(const std::string& path, bool asked_for);

// Made once by main, before the command runs. The loop is not running yet: a command that waits for
// something runs it.
struct Context {
  Context(const Invocation& invocation, Config file, std::string file_path, Getenv getenv);

  // The value of a setting by the name of its environment variable, from flag, environment or
  // config file; none if it is not set anywhere.
  [[nodiscard]] std::optional<Setting> setting(std::string_view variable) const;

  // Watches for signals and the --deadline as long as it exists.
  [[nodiscard]] RunGuard guard();

  // What a backend needs. Valid as long as the context.
  [[nodiscard]] store::Environment store_environment();
  // The same for a backend that another loop uses, with a stop of its own.
  [[nodiscard]] store::Environment store_environment(
      io::Executor executor, io::Stop& its_stop, std::shared_ptr<const std::atomic<bool>> give_up);

  // The command line that is being run; `jobs resume` replaces its own by that of the job.
  const Invocation* invocation;
  Config config;
  std::string config_path;
  Getenv environment;
  Folders folders;
  Console console;
  Log log;
  io::Loop loop;
  io::Stop stop;
  // The same for other threads: whether a stop has been requested.
  std::shared_ptr<std::atomic<bool>> stopped = std::make_shared<std::atomic<bool>>(false);
  io::Stop::Listener stop_listener{stop, [this] { stopped->store(true); }};
  flow::Progress progress;
  // The one that the program was started with; its own is 077.
  mode_t umask = 022;
  // `sluice jobs resume` runs the command of a job: the id of its journal.
  std::optional<std::string> resume_job;
};

}  // namespace sluice::cli
