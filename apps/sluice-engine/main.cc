// The engine: understands the command line, reads the config file, runs the command.
#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <sstream>
#include <string>
#include <vector>

#include "bulk/partitions.h"
#include "cache_command.h"
#include "command_line.h"
#include "commands.h"
#include "context.h"
#include "flow/quota.h"
#include "terminal.h"

namespace sluice::cli {

namespace {

std::optional<std::string> get_environment(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

ExitCode say_and_exit(const Error& error) {
  std::fputs(fmt::format("sluice: {}\n", error.message).c_str(), stderr);
  return exit_code(error.code);
}

// These look after the config file, or do not need it: they run when it is broken, too (the
// commands of the cache unless it is named: the front does not read it otherwise).
bool runs_without_config(std::string_view path) {
  return path.starts_with("config ") || path.starts_with("cache ") || path == "doctor" ||
         path == "help" || path == "version" || path == "tree" || path == "completion" ||
         path == "man";
}

// Once, on a terminal: that there could be a config file.
void offer_config(Context& context) {
  struct stat status{};
  const std::string marker = context.folders.state + "/config-offered";
  if (!context.console.interactive() || context.console.quiet() ||
      ::stat(context.config_path.c_str(), &status) == 0 || ::stat(marker.c_str(), &status) == 0) {
    return;
  }
  std::error_code ignored;
  std::filesystem::create_directories(context.folders.state, ignored);
  const std::ofstream mark(marker);
  context.console.say(
      "(no config file yet: `sluice config init` writes a commented one; this is said once)");
}

ExitCode run(const std::vector<std::string>& words, mode_t umask) {
  auto invocation = parse_command_line(words, get_environment);
  if (!invocation) {
    const ExitCode code = say_and_exit(invocation.error());
    return runs_a_command(words) ? static_cast<ExitCode>(cache_cli::kOwnFailure) : code;
  }
  // The few threads of a bulk job hand memory from one to the next: with a heap for each of them, a
  // deletion of a million keys held 5 MB more. The loops of a server allocate all the time.
  if (invocation->path() != "serve") ::mallopt(M_ARENA_MAX, 1);
  const Folders folders = Folders::from(get_environment);
  const auto named = invocation->value("config");
  const std::string path = named.value_or(folders.config_file());
  auto config = read_config(path, named.has_value());
  const bool is_cache = invocation->path().starts_with("cache ");
  if (!config && (!runs_without_config(invocation->path()) || (named && is_cache))) {
    const ExitCode code = say_and_exit(config.error());
    return runs_a_command(words) ? static_cast<ExitCode>(cache_cli::kOwnFailure) : code;
  }
  if (config) invocation->use(*config);
  if (const std::string rate = invocation->value("rate").value_or("");
      !rate.empty() && rate != "off") {
    if (const auto quota = flow::parse_quota(rate); !quota) return say_and_exit(quota.error());
  }
  if (const auto partitions =
          bulk::parse_partitions(invocation->value("list-partitions").value_or("auto"));
      !partitions) {
    return say_and_exit(partitions.error());
  }
  Context context(*invocation, std::move(config).value_or(Config()), path, get_environment);
  context.umask = umask;
  const CommandFunction function = find_command_function(invocation->path());
  if (function == nullptr) {
    return say_and_exit({ErrorCode::unsupported, Retry::never, std::nullopt,
                         fmt::format("{} is not built yet", invocation->path())});
  }
  if (!runs_without_config(invocation->path())) offer_config(context);
  return function(context, *invocation);
}

}  // namespace

}  // namespace sluice::cli

// A closed stdin, stdout or stderr would be given to the next file that is opened, and results
// would be written into it. What stands in for them fails when it is used.
static void open_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) < 0 && errno == EBADF) {
      (void)::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
  }
}

int main(int argc, char** argv) {
  open_standard_descriptors();
  // A reader that goes away is told by EPIPE, where it is known whose reader it was.
  sluice::cache_cli::let_writes_fail(SIGPIPE);
  sluice::cache_cli::let_writes_fail(SIGXFSZ);
  const mode_t umask = ::umask(077);
  // Pages and batches of one to four megabytes come and go: kept by the allocator, they cost no
  // page faults (a third of the system time of a listing).
  ::mallopt(M_MMAP_THRESHOLD, 4 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 16 << 20);
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    return static_cast<int>(sluice::cli::run(words, umask));
  } catch (const std::bad_alloc&) {
    std::fputs("sluice: there is not enough memory\n", stderr);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sluice: an error in Sluice itself: %s; please report it\n", error.what());
  }
  return sluice::cli::runs_a_command(words) ? sluice::cache_cli::kOwnFailure
                                            : static_cast<int>(sluice::ExitCode::failed);
}
