// Session: what every cache command starts from.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/invocation.h"
#include "localcache/cache.h"
#include "localcache/location.h"
#include "localcache/lock.h"
#include "localcache/statistics.h"
#include "terminal.h"

namespace sluice::cache_cli {

// What `cache exec` and `cache lock` exit with when it is not the command's own code, as env(1) and
// timeout(1) do.
inline constexpr int kTimedOut = 124;
inline constexpr int kOwnFailure = 125;
inline constexpr int kCannotRun = 126;
inline constexpr int kNoCommand = 127;

// What only the engine has.
struct EngineParts {
  // Makes a test of keys from a regular expression.
  using Matcher = std::function<bool(std::string_view key)>;
  std::function<Result<Matcher>(const std::string& pattern)> compile_pattern;
  // Asks before something is taken away; an answer other than yes is an error.
  std::function<Result<>(std::string question)> confirm;
};

// One run of one command: where its cache is, how it is opened, where its messages go. Keeps the
// cache open until it goes away.
class Session {
 public:
  // Finds the namespace and its folder. `umask` is the one that the program was started with:
  // commands run with it.
  static Result<Session> begin(const Invocation& invocation, const Getenv& environment,
                               mode_t umask, EngineParts engine = {});

  [[nodiscard]] const Invocation& invocation() const { return *invocation_; }
  [[nodiscard]] const Messages& messages() const { return messages_; }
  [[nodiscard]] const localcache::Location& location() const { return location_; }
  // Where answers wait that memory should not hold: beside the entries that they are made of, or,
  // where nothing can be written there, in $TMPDIR or /tmp.
  [[nodiscard]] std::vector<std::string> spool_folders() const;
  [[nodiscard]] const EngineParts& engine() const { return engine_; }
  [[nodiscard]] localcache::LockWait lock_wait() const { return lock_wait_; }
  [[nodiscard]] mode_t umask() const { return umask_; }
  [[nodiscard]] std::optional<std::string> variable(std::string_view name) const {
    return environment_(name);
  }
  // Whether `cache size` counts by walking (CACHE_SIZE_TRACKING=disabled).
  [[nodiscard]] bool counts_by_walking() const { return counts_by_walking_; }
  // Whether operations are timed (CACHE_PERF_MONITORING=disabled: not).
  [[nodiscard]] bool timing() const { return options_.timing; }
  [[nodiscard]] bool json() const { return invocation_->on("json"); }
  [[nodiscard]] bool dry_run() const { return invocation_->on("dry-run"); }
  // When --deadline ends the run; none if it does not.
  [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> deadline() const {
    return deadline_;
  }

  [[nodiscard]] localcache::OpenOptions options(localcache::Access access) const;
  // Whether the namespace has been made yet: one that has not needs no change that takes away.
  [[nodiscard]] bool exists() const;
  // Opens the cache, and says what it has to say. Valid until the next call and as long as this
  // object.
  Result<localcache::Cache*> open(localcache::Access access);
  void close() { cache_.reset(); }
  // Closes a cache that was written to, so that its log is folded in and the next reader need not
  // look at it. One that was only read is left open, since a program that is about to end would
  // only lose time.
  void finish() {
    if (writes_) close();
  }
  // Counts an operation in the namespace's statistics, if they are kept and there is a namespace.
  void record(localcache::Timed operation, std::chrono::nanoseconds took) const;

  // Asks if --interactive was given without --yes, and something would be changed.
  [[nodiscard]] Result<> ask(std::string question) const;

  // Says `error` and returns its exit code.
  int report(const Error& error) const;

 private:
  Session(const Invocation& invocation, const Getenv& environment, mode_t umask,
          EngineParts engine);

  const Invocation* invocation_;
  Getenv environment_;
  mode_t umask_;
  EngineParts engine_;
  Messages messages_;
  localcache::Location location_;
  localcache::OpenOptions options_;
  localcache::LockWait lock_wait_ = localcache::LockWait::kernel;
  bool counts_by_walking_ = false;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  std::optional<localcache::Cache> cache_;
  bool writes_ = false;
};

// Ends the process with exit code 6 and a sentence at the --deadline, if there is one. For commands
// that do nothing but their own work, which can be cut off at any moment.
void end_at_deadline(const Session& session);

}  // namespace sluice::cache_cli
