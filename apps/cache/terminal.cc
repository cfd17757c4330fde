#include "terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdlib>

namespace sluice::cache_cli {

namespace {

// False: the deadline is over, and it would still have to wait.
bool wait_until_writable(int descriptor, Deadline deadline) {
  struct pollfd waiting{.fd = descriptor, .events = POLLOUT, .revents = 0};
  while (::poll(&waiting, 1, poll_timeout(deadline)) <= 0) {
    if (deadline && std::chrono::steady_clock::now() >= *deadline) return false;
  }
  return true;
}

// 0, or the errno of what went wrong; ETIMEDOUT: the deadline is over.
int write_fully(int descriptor, std::string_view bytes, Deadline deadline = std::nullopt) {
  const std::size_t at_once = deadline ? writable_at_once(descriptor) : bytes.size();
  while (!bytes.empty()) {
    if (deadline && !wait_until_writable(descriptor, deadline)) return ETIMEDOUT;
    const ssize_t wrote = ::write(descriptor, bytes.data(), std::min(bytes.size(), at_once));
    if (wrote < 0 && errno == EINTR) continue;
    // Whoever made the pipe does not want to wait for it, and has given us the same opening.
    if (wrote < 0 && errno == EAGAIN) {
      if (!wait_until_writable(descriptor, deadline)) return ETIMEDOUT;
      continue;
    }
    if (wrote < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return 0;
}

void write_line(std::string_view color, std::string_view before, std::string_view sentence) {
  std::string line(color);
  line += before;
  line += sentence;
  if (!color.empty()) line += "\x1b[0m";
  line += '\n';
  // Nobody reads what cannot be written here.
  static_cast<void>(write_fully(STDERR_FILENO, line));
}

}  // namespace

void open_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) < 0 && errno == EBADF) {
      // The wrong way round, so that using it fails.
      static_cast<void>(::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY));
    }
  }
}

bool let_go_of_standard_descriptors() {
  // Before anything else is opened: there may be no more than these (`ulimit -n`).
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(standard);
  if (::open("/dev/null", O_RDWR) != STDIN_FILENO) return false;
  return ::dup2(STDIN_FILENO, STDOUT_FILENO) >= 0 && ::dup2(STDIN_FILENO, STDERR_FILENO) >= 0;
}

Result<> write_output(std::string_view bytes) {
  return write_output_until(std::nullopt, bytes);
}

Result<> write_output_until(Deadline deadline, std::string_view bytes) {
  const int error = write_fully(STDOUT_FILENO, bytes, deadline);
  if (error == 0) return {};
  if (error == EPIPE) die_of(SIGPIPE);
  if (error == ETIMEDOUT) return std::unexpected(unread_at_deadline());
  return std::unexpected(system_error(error, "write to stdout"));
}

Result<std::size_t> write_ready_output(std::string_view bytes) {
  const std::size_t at_once = writable_at_once(STDOUT_FILENO);
  std::size_t done = 0;
  while (done < bytes.size()) {
    struct pollfd ready{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
    if (::poll(&ready, 1, 0) <= 0) break;
    const std::string_view piece = bytes.substr(done, at_once);
    if (auto written = write_output(piece); !written) return std::unexpected(written.error());
    done += piece.size();
  }
  return done;
}

Result<> write_errors_until(Deadline deadline, std::string_view bytes) {
  // Of anything else nobody could be told.
  if (write_fully(STDERR_FILENO, bytes, deadline) != ETIMEDOUT) return {};
  return std::unexpected(unread_at_deadline());
}

Error unread_at_deadline() {
  return {ErrorCode::deadline, Retry::never, std::nullopt,
          "the --deadline is over: not all that the command wrote has been read"};
}

int poll_timeout(Deadline until) {
  if (!until) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(*until - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1'000'000));
}

std::size_t writable_at_once(int descriptor) {
  // Pipes and terminals that are ready take so much (POSIX's PIPE_BUF), files anything.
  struct stat status{};
  if (::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) return std::size_t{1} << 16;
  return PIPE_BUF;
}

bool is_typed_in() {
  return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
}

bool is_shown() {
  return ::isatty(STDOUT_FILENO) == 1;
}

void let_writes_fail(int signal) {
  struct sigaction action{};
  if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) return;
  action = {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  ::sigaction(signal, &action, nullptr);
}

void die_of(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
  std::raise(signal);
  std::_Exit(128 + signal);
}

Messages::Messages(const Invocation& invocation, const Getenv& environment)
    : quiet_(invocation.on("quiet")), verbose_(invocation.on("verbose")) {
  const std::string color = invocation.value("color").value_or("auto");
  // no-color.org: set and not empty.
  colored_ = color == "always" || (color == "auto" && ::isatty(STDERR_FILENO) == 1 &&
                                   environment("NO_COLOR").value_or("").empty());
}

void Messages::say(std::string_view sentence) const {
  if (!quiet_) write_line("", "", sentence);
}

void Messages::detail(std::string_view sentence) const {
  if (verbose_) write_line("", "", sentence);
}

void Messages::warn(std::string_view sentence) const {
  write_line(colored_ ? "\x1b[33m" : "", "sluice: ", sentence);
}

void Messages::error(std::string_view sentence) const {
  write_line(colored_ ? "\x1b[31m" : "", "sluice: ", sentence);
}

}  // namespace sluice::cache_cli
