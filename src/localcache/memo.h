// Memo: the result of a command, computed once for all who ask for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "localcache/cache.h"
#include "localcache/lock.h"

namespace sluice::localcache {

// What a memoized command is known by. Two that differ in any of it have different results.
struct MemoInput {
  std::vector<std::string> arguments;
  std::string working_directory;
  std::vector<std::pair<std::string, std::optional<std::string>>> environment;  // none: not set
  std::vector<std::string> files;  // paths; their content counts, and whether they exist
};
inline constexpr std::string_view kMemoPrefix = "exec:";
// kMemoPrefix and 32 hexadecimal digits. Reads the files; one that exists and cannot be read is an
// error.
Result<std::string> memo_key(const MemoInput& input);

// What a command has left behind.
struct MemoResult {
  int exit_code = 0;
  std::string output;  // stdout
  std::string errors;  // stderr
  std::chrono::milliseconds took{};
  TimePoint ran_at;     // when it ended
  std::string command;  // what was run, for people who list what is stored
  // How long it is fresh, and then how long it may be given out while it is computed anew.
  std::chrono::milliseconds ttl{};
  std::chrono::milliseconds stale{};
};
[[nodiscard]] std::string encode(const MemoResult& result);
// Fails with `corrupt` for bytes that `encode` did not write.
Result<MemoResult> decode_memo(std::string_view bytes);
// What was run, from the first kilobytes of what `encode` wrote; nothing if these are none.
std::optional<std::string> memo_command(std::string_view beginning);

enum class Freshness : std::uint8_t {
  fresh,    // give it out
  stale,    // give it out, and compute it anew in the background
  expired,  // compute it anew first
};
// What a reader takes: the smaller of this and of what was stored with the result counts.
struct Patience {
  std::chrono::milliseconds ttl = std::chrono::milliseconds::max();
  std::chrono::milliseconds stale{0};  // beyond ttl
};
// A result from the future (the clock was set back) is expired: its age cannot be known.
[[nodiscard]] Freshness freshness(const MemoResult& result, TimePoint now,
                                  const Patience& patience = {});

struct MemoOptions {
  std::chrono::milliseconds ttl = std::chrono::minutes(1);
  std::chrono::milliseconds stale{0};
  bool discard_failures = false;  // a result whose exit code is not 0 is given out, and not stored
  std::vector<std::string> tags;
  // How long to wait for another process that computes it. None: as long as it takes.
  std::optional<std::chrono::milliseconds> wait;
  LockWait lock_wait = LockWait::kernel;
  std::string command;  // for those who wait, and for those who list what is stored
  // Whether `get` counts as a use, a hit or a miss. Not when a look by `looking` has done so
  // before.
  bool counts = true;

  [[nodiscard]] Patience patience() const { return {.ttl = ttl, .stale = stale}; }
};

// Runs commands at most once at a time for each key, over all processes that use the namespace: one
// is the runner, the others wait for its result. When a runner dies or is interrupted, one of those
// who wait becomes the runner at once. When it ends without a result that may be stored, those who
// wait run side by side: one after another they would wait in vain for each other.
//
//   std::optional<Memo::Found> found;
//   cache.get(key, Memo::looking(patience, now, found));  // fresh or stale: give it out
//   if (stale) start a process that calls refresh
//   else auto result = memo.get(key, run);                // waits, or runs
class Memo {
 public:
  // Runs the command. Called at most once a call of `get` or `refresh`. `interrupted` or `deadline`
  // as its error: it was cut short from outside, and says nothing of how the next run goes.
  using Run = std::function<Result<MemoResult>()>;

  // `cache` must outlive it, and be open for writing.
  Memo(Cache& cache, MemoOptions options);

  struct Found {
    MemoResult result;
    Freshness freshness = Freshness::fresh;  // never expired
  };
  // How Cache::get and get_once look for a stored result: one that can be given out at `now` is put
  // into `found`, which must outlive the look; anything else is a miss. Waits for nobody.
  static GetOptions looking(const Patience& patience, TimePoint now, std::optional<Found>& found);

  struct Got {
    MemoResult result;
    bool ran = false;  // by this call
    bool stored = false;
    // Why the result could not be stored, if it could not; it is good all the same.
    std::optional<Error> not_stored;
    // Why the stored result could not be read, if it could not. It has been replaced or deleted.
    std::optional<Error> damaged;
  };
  // A fresh result: the stored one, that of another process which is computing it, or that of
  // `run`. With a ttl and stale of 0 always the last, beside whoever else is at it. An error is
  // that of `run`, or, if that was not called, of the lock: `timeout` if the wait was too long.
  Result<Got> get(std::string_view key, const Run& run);

  // Computes a stale result anew, unless it is fresh by now or somebody else is at it: then
  // nothing.
  Result<std::optional<Got>> refresh(std::string_view key, const Run& run);

 private:
  [[nodiscard]] std::optional<MemoResult> fresh(std::string_view key, std::optional<Error>& damaged,
                                                bool counts);
  // While the lock is held.
  Result<Got> run_alone(std::string_view key, const Run& run);
  Result<Got> run_and_store(std::string_view key, const Run& run);

  Cache& cache_;
  MemoOptions options_;
};

}  // namespace sluice::localcache
