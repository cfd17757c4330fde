#include "session.h"

#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <utility>

#include "identity.h"

namespace sluice::cache_cli {

namespace {

Result<std::string> absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  char here[PATH_MAX];
  if (::getcwd(here, sizeof here) == nullptr) {
    Error error = system_error(errno, "find the current folder");
    error.code = ErrorCode::io;  // "not found" is said of entries
    return std::unexpected(std::move(error));
  }
  return fmt::format("{}/{}", here, path);
}

// The documented switches of scripts' own caches. Nothing but "disabled" turns them off.
bool is_disabled(const Getenv& environment, std::string_view name) {
  return environment(name).value_or("") == "disabled";
}

}  // namespace

Session::Session(const Invocation& invocation, const Getenv& environment, mode_t umask,
                 EngineParts engine)
    : invocation_(&invocation),
      environment_(environment),
      umask_(umask),
      engine_(std::move(engine)),
      messages_(invocation, environment) {}

Result<Session> Session::begin(const Invocation& invocation, const Getenv& environment,
                               mode_t umask, EngineParts engine) {
  Session session(invocation, environment, umask, std::move(engine));
  if (const auto folder = invocation.value("dir")) {
    auto root = absolute(*folder);
    if (!root) return std::unexpected(root.error());
    session.location_.root = std::move(*root);
    session.location_.for_group = true;
  } else {
    auto root = localcache::default_root(environment("XDG_CACHE_HOME").value_or(""),
                                         environment("HOME").value_or(""));
    if (!root) return std::unexpected(root.error());
    session.location_.root = std::move(*root);
  }
  auto name = cache_namespace(invocation, environment, session.location_.for_group);
  if (!name) return std::unexpected(name.error());
  session.location_.name = std::move(*name);

  const std::string wait = environment("LOCK_BACKOFF_STRATEGY").value_or("");
  if (!wait.empty()) {
    const auto parsed = localcache::parse_lock_wait(wait);
    if (!parsed) {
      return fail(ErrorCode::invalid_argument, "LOCK_BACKOFF_STRATEGY: {}", parsed.error().message);
    }
    session.lock_wait_ = *parsed;
  }
  session.options_.timing = !is_disabled(environment, "CACHE_PERF_MONITORING");
  session.counts_by_walking_ = is_disabled(environment, "CACHE_SIZE_TRACKING");
  session.options_.busy_timeout =
      invocation.duration("timeout").value_or(session.options_.busy_timeout);
  if (const auto time = invocation.duration("deadline")) {
    session.deadline_ = std::chrono::steady_clock::now() + *time;
  }
  return session;
}

localcache::OpenOptions Session::options(localcache::Access access) const {
  localcache::OpenOptions options = options_;
  options.access = access;
  return options;
}

std::vector<std::string> Session::spool_folders() const {
  return {location_.folder(), environment_("TMPDIR").value_or("/tmp"), "/tmp"};
}

bool Session::exists() const {
  // What cannot be looked at is opened, and the reason told.
  const auto is_there = [](const std::string& file) {
    return ::access(file.c_str(), F_OK) == 0 || errno != ENOENT;
  };
  return is_there(location_.database()) || is_there(location_.database() + "-wal") ||
         is_there(location_.repaired_database());
}

Result<localcache::Cache*> Session::open(localcache::Access access) {
  cache_.reset();
  auto cache = localcache::Cache::open(location_, options(access));
  if (!cache) return std::unexpected(cache.error());
  cache_.emplace(std::move(*cache));
  writes_ = access != localcache::Access::read;
  for (const std::string& notice : cache_->notices()) messages_.warn(notice);
  return &*cache_;
}

void Session::record(localcache::Timed operation, std::chrono::nanoseconds took) const {
  if (!options_.timing) return;
  const auto opened =
      localcache::Statistics::open(location_.statistics(), location_.for_group ? 0660 : 0600);
  if (opened) opened->statistics->record(operation, took);
}

Result<> Session::ask(std::string question) const {
  if (!invocation_->on("interactive") || invocation_->on("yes") || dry_run()) return {};
  return engine_.confirm(std::move(question));
}

int Session::report(const Error& error) const {
  messages_.error(error.message);
  return static_cast<int>(exit_code(error.code));
}

void end_at_deadline(const Session& session) {
  if (!session.deadline()) return;
  std::signal(SIGALRM, [](int) {
    constexpr std::string_view text = "sluice: the --deadline is over\n";
    static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
    ::_exit(static_cast<int>(ExitCode::throttled));
  });
  const auto left = std::max(std::chrono::duration_cast<std::chrono::microseconds>(
                                 *session.deadline() - std::chrono::steady_clock::now()),
                             std::chrono::microseconds(1));
  struct itimerval timer{};
  timer.it_value.tv_sec = left.count() / 1'000'000;
  timer.it_value.tv_usec = left.count() % 1'000'000;
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

}  // namespace sluice::cache_cli
