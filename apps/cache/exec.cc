// sluice cache exec
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <new>
#include <utility>

#include "base/size.h"
#include "base/utf8.h"
#include "child.h"
#include "localcache/memo.h"
#include "shared_commands.h"

namespace sluice::cache_cli {

namespace {

using localcache::Access;
using localcache::Memo;
using localcache::MemoResult;

int own_failure(const Session& session, const Error& error) {
  session.messages().error(error.message);
  return kOwnFailure;
}

Result<std::string> working_directory() {
  char here[PATH_MAX];
  if (::getcwd(here, sizeof here) == nullptr) {
    return std::unexpected(
        system_error(errno == ERANGE ? ENAMETOOLONG : errno, "find the current folder"));
  }
  return here;
}

Result<std::string> result_key(const Session& session, std::string here) {
  const Invocation& invocation = session.invocation();
  localcache::MemoInput input{
      .arguments = {invocation.arguments().begin(), invocation.arguments().end()},
      .working_directory = std::move(here),
      .environment = {},
      .files = invocation.values("key-file")};
  for (const std::string& name : invocation.values("key-env")) {
    if (name.empty() || name.contains('=')) {
      return fail(ErrorCode::invalid_argument,
                  "--key-env: \"{}\" is no name of a variable. Name one without its value.",
                  printable(name));
    }
    input.environment.emplace_back(name, session.variable(name));
  }
  return localcache::memo_key(input);
}

localcache::MemoOptions memo_options(const Session& session) {
  const Invocation& invocation = session.invocation();
  localcache::MemoOptions options;
  options.ttl = invocation.duration("ttl").value_or(options.ttl);
  options.stale = invocation.duration("stale").value_or(options.stale);
  options.discard_failures = invocation.on("discard-failures");
  options.tags = invocation.values("tag");
  options.lock_wait = session.lock_wait();
  options.command = shown(invocation.arguments());
  if (session.deadline()) {
    options.wait = std::max(std::chrono::ceil<std::chrono::milliseconds>(
                                *session.deadline() - std::chrono::steady_clock::now()),
                            std::chrono::milliseconds(0));
  }
  return options;
}

// Runs the command for the cache, which is done with when it is known what there is to be stored;
// and then to its end.
class Runner {
 public:
  enum class Where : std::uint8_t { foreground, background };

  Runner(const Session& session, Where where)
      : child_({.words = session.invocation().arguments(),
                .umask = session.umask(),
                .keep = session.invocation().size("max-output").value_or(0),
                .pass_through = where == Where::foreground,
                // It is the caller's: nobody waits for one in the background.
                .deadline = where == Where::foreground ? session.deadline() : std::nullopt}) {}

  // An error: there is nothing to be stored.
  Result<MemoResult> run() {
    ran_ = true;
    child_.run();
    const ChildEnd& end = child_.end();
    if (!end.failure.empty()) return fail(ErrorCode::io, "{}", end.failure);
    if (end.past_deadline) return fail(ErrorCode::deadline, "the --deadline is over");
    if (end.disturbed) return fail(ErrorCode::interrupted, "the command was interrupted");
    if (end.signal != 0) return fail(ErrorCode::io, "the command was killed");
    if (child_.lost()) return std::unexpected(*child_.lost());
    return MemoResult{.exit_code = end.code,
                      .output = child_.take(Stream::output),
                      .errors = child_.take(Stream::errors),
                      .took = std::chrono::ceil<std::chrono::milliseconds>(end.took)};
  }

  [[nodiscard]] bool ran() const { return ran_; }
  // Without the lock: it may wait for who reads from us.
  const ChildEnd& finish() {
    child_.finish();
    return child_.end();
  }
  [[nodiscard]] const ChildEnd& end() const { return child_.end(); }

 private:
  Child child_;
  bool ran_ = false;
};

// Gives out a stored result.
int replay(const Session& session, const MemoResult& result) {
  auto written = write_errors_until(session.deadline(), result.errors);
  if (written) written = write_output_until(session.deadline(), result.output);
  if (!written) return own_failure(session, written.error());
  return result.exit_code;
}

// Computes the result anew in a process of its own, which nobody waits for: it holds nothing of the
// caller's open. The session's cache must not be open: SQLite must not be taken across a fork.
void refresh_in_background(Session& session, const std::string& key) {
  const pid_t child = ::fork();
  if (child != 0) return;  // no process: the next caller tries again
  ::setsid();
  // The cache must not become one of them.
  if (!let_go_of_standard_descriptors()) std::_Exit(kOwnFailure);
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
  if (const auto cache = session.open(Access::write)) {
    Runner runner(session, Runner::Where::background);
    Memo memo(**cache, memo_options(session));
    static_cast<void>(memo.refresh(key, [&] { return runner.run(); }));
    if (runner.ran()) runner.finish();
  }
  std::_Exit(0);
}

// What is asked of the cache: one that does not fit into memory cannot be used, either.
template <class Function>
auto within_memory(const Function& function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::io, "there is not enough memory");
  }
}

// The stored result, if there is one that can be given out.
Result<std::optional<Memo::Found>> find(const Session& session, const std::string& key) {
  std::optional<Memo::Found> found;
  const auto look =
      Memo::looking(memo_options(session).patience(), std::chrono::system_clock::now(), found);
  const auto entry =
      localcache::Cache::get_once(session.location(), key, look, session.options(Access::read));
  if (!entry) return std::unexpected(entry.error());
  return found;
}

// How the command ended is what counts, whatever became of its result.
int end_as(const Session& session, const ChildEnd& end) {
  if (!end.failure.empty()) {
    session.messages().error(end.failure);
  } else if (end.past_deadline) {
    session.messages().error("the --deadline is over: the command was ended");
    return kOwnFailure;
  }
  return end.code;
}

void tell(const Session& session, const Result<Memo::Got>& got) {
  if (!got) {
    session.messages().detail(fmt::format("the result was not kept: {}", got.error().message));
    return;
  }
  if (got->not_stored) {
    session.messages().warn(fmt::format("the result was not kept: {}", got->not_stored->message));
  } else if (got->damaged) {
    session.messages().warn(
        fmt::format("the stored result could not be read, and the command was run anew: {}",
                    got->damaged->message));
  }
}

// A cache that cannot be used keeps no command from running.
int run_without(const Session& session, const Error& why, Runner& runner) {
  session.messages().warn(
      fmt::format("the cache cannot be used, and the command runs without it: {}", why.message));
  static_cast<void>(runner.run());
  return end_as(session, runner.finish());
}

// `counted`: the look for the result has.
int compute(Session& session, const std::string& key, bool counted, Runner& runner) {
  std::optional<Error> unusable;
  if (const auto cache = session.open(Access::write)) {
    auto options = memo_options(session);
    options.counts = !counted;
    Memo memo(**cache, std::move(options));
    const auto got = within_memory([&] { return memo.get(key, [&] { return runner.run(); }); });
    if (runner.ran()) {
      tell(session, got);
      session.close();
      return end_as(session, runner.finish());
    }
    if (got) return replay(session, got->result);
    unusable = got.error();
  } else {
    unusable = cache.error();
  }
  if (unusable->code == ErrorCode::timeout && session.deadline()) {
    session.messages().error(
        "the --deadline is over: another process is still running the command");
    return kOwnFailure;
  }
  session.close();
  return run_without(session, *unusable, runner);
}

}  // namespace

int run_exec(Session& session) {
  const auto began = std::chrono::steady_clock::now();
  auto here = working_directory();
  if (!here) {  // it was deleted, say, or its path is too long
    Runner runner(session, Runner::Where::foreground);
    const int code = run_without(session, here.error(), runner);
    die_if_interrupted(session, runner.end());
    return code;
  }
  const auto key = result_key(session, std::move(*here));
  if (!key) return own_failure(session, key.error());
  const bool counted = session.exists();  // else there is nothing yet to count in
  auto found = within_memory([&] { return find(session, *key); });
  // A damaged cache is said by what follows.
  if (found && *found) {
    const bool stale = (*found)->freshness == localcache::Freshness::stale;
    session.messages().detail(stale ? "a stale result" : "a stored result");
    session.record(localcache::Timed::exec, std::chrono::steady_clock::now() - began);
    if (stale) refresh_in_background(session, *key);
    return replay(session, (*found)->result);
  }
  // It counts that it is not there; still, the name may be mistyped.
  for (const std::string& file : session.invocation().values("key-file")) {
    if (::access(file.c_str(), F_OK) == 0) continue;
    session.messages().warn(fmt::format("--key-file: there is no file {}", printable(file)));
  }
  Runner runner(session, Runner::Where::foreground);
  const int code = compute(session, *key, counted, runner);
  session.record(localcache::Timed::exec, std::chrono::steady_clock::now() - began);
  die_if_interrupted(session, runner.end());
  return code;
}

}  // namespace sluice::cache_cli
