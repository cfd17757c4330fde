// sluice cache lock
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <limits>

#include "base/utf8.h"
#include "child.h"
#include "shared_commands.h"

namespace sluice::cache_cli {

namespace {

using localcache::Lock;
using localcache::LockOptions;

int own_failure(const Session& session, const Error& error) {
  session.messages().error(error.message);
  return error.code == ErrorCode::timeout ? kTimedOut : kOwnFailure;
}

Error usage(std::string message) {
  return {ErrorCode::invalid_argument, Retry::never, std::nullopt, std::move(message)};
}

// What the holder of --hold-for says that it does: --release goes by it.
std::string held_for(std::uint64_t pid) {
  return fmt::format("held for process {}", pid);
}

LockOptions lock_options(const Session& session, std::string command) {
  const Invocation& invocation = session.invocation();
  LockOptions options{.mode = invocation.on("shared") ? localcache::LockMode::shared
                                                      : localcache::LockMode::exclusive,
                      .wait = session.lock_wait(),
                      .timeout = invocation.duration("timeout"),
                      .command = std::move(command)};
  if (session.deadline()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        *session.deadline() - std::chrono::steady_clock::now());
    options.timeout =
        std::min(options.timeout.value_or(left), std::max(left, std::chrono::milliseconds(0)));
  }
  return options;
}

Result<Lock> take(const Session& session, std::string command) {
  const auto began = std::chrono::steady_clock::now();
  auto lock = Lock::take(session.location(), session.invocation().arguments().front(),
                         lock_options(session, std::move(command)));
  if (lock) session.record(localcache::Timed::lock, std::chrono::steady_clock::now() - began);
  return lock;
}

int pidfd_open(std::uint64_t pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0));
}

// Holds the lock until `process` ends or somebody asks to release it. In a process of its own.
[[noreturn]] void hold(int process) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  const int signals = ::signalfd(-1, &set, SFD_CLOEXEC);
  std::array<struct pollfd, 2> waiting{{{.fd = process, .events = POLLIN, .revents = 0},
                                        {.fd = signals, .events = POLLIN, .revents = 0}}};
  while (::poll(waiting.data(), waiting.size(), -1) < 0 && errno == EINTR) {
  }
  std::_Exit(0);
}

// Takes the lock in a process that stays behind, and returns when that has it.
int hold_in_background(const Session& session, std::uint64_t pid) {
  const pid_t caller = ::getpid();
  int answer[2];
  if (::pipe2(answer, O_CLOEXEC) != 0) return own_failure(session, system_error(errno, "pipe"));
  const pid_t child = ::fork();
  if (child < 0) return own_failure(session, system_error(errno, "start a process"));
  if (child == 0) {
    ::setsid();
    // Nobody wants the lock any more when who asked for it is killed before it is there.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != caller) std::_Exit(kOwnFailure);
    // Nothing of the caller's is kept open: it may wait for the end of what it gave us.
    constexpr int kAnswer = STDERR_FILENO + 1;
    ::dup2(answer[1], kAnswer);
    ::close_range(kAnswer + 1, ~0U, 0);
    const int process = pidfd_open(pid);
    if (process < 0) {
      std::_Exit(own_failure(session, system_error(errno, fmt::format("find process {}", pid))));
    }
    const auto lock = take(session, held_for(pid));
    const int code = lock ? 0 : own_failure(session, lock.error());
    ::prctl(PR_SET_PDEATHSIG, 0);
    if (::write(kAnswer, &code, sizeof code) != sizeof code || !lock) std::_Exit(kOwnFailure);
    static_cast<void>(let_go_of_standard_descriptors());  // closed will do, too
    ::close(kAnswer);
    hold(process);
  }
  ::close(answer[1]);
  int code = kOwnFailure;
  ssize_t got = 0;
  while ((got = ::read(answer[0], &code, sizeof code)) < 0 && errno == EINTR) {
  }
  return got == sizeof code ? code : kOwnFailure;
}

// Ends the process that holds the lock for `pid`, and waits for that.
Result<> release(const Session& session, std::uint64_t pid) {
  const std::string& name = session.invocation().arguments().front();
  const auto nobody = [&] {
    return fail(ErrorCode::not_found, "the lock \"{}\" is not held for process {}.",
                printable(name), pid);
  };
  const auto holder = localcache::process_with_lock(session.location(), name, held_for(pid));
  if (!holder) return std::unexpected(holder.error());
  if (!*holder) return nobody();
  const int process = pidfd_open(static_cast<std::uint64_t>(**holder));
  if (process < 0) return nobody();
  // The descriptor is that of the holder only if it still holds the lock now.
  const auto again = localcache::process_with_lock(session.location(), name, held_for(pid));
  if (!again || *again != *holder) return nobody();
  if (::syscall(SYS_pidfd_send_signal, process, SIGTERM, nullptr, 0) != 0) {
    return std::unexpected(system_error(errno, "end the process that holds the lock"));
  }
  struct pollfd ended{.fd = process, .events = POLLIN, .revents = 0};
  while (::poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
  return {};
}

int run_command(Session& session) {
  const auto words = session.invocation().arguments().subspan(1);
  Child child({.words = words, .umask = session.umask(), .deadline = session.deadline()});
  {
    const auto lock = take(session, shown(words));
    if (!lock) return own_failure(session, lock.error());
    child.run();
  }
  child.finish();
  const ChildEnd& end = child.end();
  die_if_interrupted(session, end);
  if (!end.failure.empty()) session.messages().error(end.failure);
  if (end.past_deadline) {
    session.messages().error("the --deadline is over: the command was ended");
    return kOwnFailure;
  }
  return end.code;
}

}  // namespace

int run_lock(Session& session) {
  const Invocation& invocation = session.invocation();
  const bool has_command = invocation.arguments().size() > 1;
  const auto pid = invocation.count("hold-for");
  if (invocation.on("release") && !pid) {
    return own_failure(session, usage("--release needs --hold-for PID, as the lock was taken."));
  }
  if (has_command && pid) {
    return own_failure(session,
                       usage("a command and --hold-for exclude each other: leave one out."));
  }
  if (!has_command && !pid) {
    return own_failure(session, usage("`sluice cache lock NAME` needs a command after --, or "
                                      "--hold-for."));
  }
  if (!pid) return run_command(session);
  if (*pid > std::numeric_limits<pid_t>::max()) {
    return own_failure(session, usage(fmt::format("--hold-for: {} is no process id.", *pid)));
  }
  if (!invocation.on("release")) return hold_in_background(session, *pid);
  if (const auto released = release(session, *pid); !released) {
    return own_failure(session, released.error());
  }
  return 0;
}

}  // namespace sluice::cache_cli
