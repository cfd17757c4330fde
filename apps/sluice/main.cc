// The front: what `sluice` starts. It is small and static, so that starting it costs next to
// nothing. It runs the cache commands that scripts call all the time, and hands every other command
// to the engine.
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "fast_path.h"
#include "session.h"
#include "terminal.h"

namespace {

// What a shell answers for a command that is not there, or that cannot be run.
constexpr int not_found = 127;
constexpr int not_executable = 126;

void say(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// The absolute path of this program, with symbolic links resolved; empty if it cannot be known.
std::string own_path() {
  std::string path(256, '\0');
  while (true) {
    const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
    if (length < 0) return {};
    if (static_cast<std::size_t>(length) < path.size()) {
      path.resize(static_cast<std::size_t>(length));
      return path;
    }
    path.resize(path.size() * 2);
  }
}

// PREFIX/bin/sluice → PREFIX/libexec/sluice/sluice-engine.
std::string engine_path(const std::string& own) {
  const std::string folder = own.substr(0, own.rfind('/'));
  return folder.substr(0, folder.rfind('/')) + "/libexec/sluice/sluice-engine";
}

}  // namespace

int main(int argc, char** argv) {
  sluice::cache_cli::open_standard_descriptors();
  sluice::cache_cli::let_writes_fail(SIGXFSZ);
  if (argc > 2 && std::string_view(argv[1]) == "cache") {
    const std::vector<std::string> words(argv + 1, argv + argc);
    const int failed =
        words[1] == "exec" || words[1] == "lock" ? sluice::cache_cli::kOwnFailure : 1;
    const sluice::Getenv environment = [](std::string_view name) -> std::optional<std::string> {
      const char* value = std::getenv(std::string(name).c_str());
      return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
    };
    try {
      if (const auto code = sluice::front::run_fast(words, environment)) return *code;
    } catch (const std::bad_alloc&) {
      say("sluice: there is not enough memory\n");
      return failed;
    } catch (const std::exception& error) {
      say(std::string("sluice: an error in Sluice itself: ") + error.what() +
          "; please report it\n");
      return failed;
    }
  }
  const std::string own = own_path();
  if (own.empty()) {
    say("sluice: cannot tell where it is installed, since /proc/self/exe cannot be read. Mount "
        "/proc, "
        "or run libexec/sluice/sluice-engine itself.\n");
    return not_found;
  }
  const std::string engine = engine_path(own);
  execv(engine.c_str(), argv);
  const int error = errno;
  say("sluice: cannot run its engine " + engine + ": " + strerrordesc_np(error) +
      ". Install Sluice again, or keep bin/sluice and libexec/sluice/ under one folder.\n");
  return error == ENOENT ? not_found : not_executable;
}
