// Cache: one namespace of the local cache, for many processes at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "localcache/entry.h"
#include "localcache/location.h"

namespace sluice::localcache {

class Statistics;

enum class Access : std::uint8_t {
  // Nothing is made: a namespace that does not exist is an empty one. Works in a folder that the
  // user may only read; hits are then not counted.
  read,
  // The namespace is made if need be.
  write,
  // For deleting: what `write` can do, but nothing is made. A namespace that does not exist is an
  // empty one.
  change,
};

// What survives a power cut. A killed process harms nothing in any of them.
enum class Sync : std::uint8_t {
  off,     // the operating system writes when it likes; a power cut may damage the database
  normal,  // the last sets may be lost, and the database is whole; the default
  full,    // a set that has returned is on the disk
};

struct OpenOptions {
  Access access = Access::write;
  Sync sync = Sync::normal;
  // For a namespace that is made now; one that exists keeps its own (see set_limits).
  Limits limits;
  // How long a write waits for those of other processes before it fails with `conflict`.
  Milliseconds busy_timeout{10'000};
  // Whether each operation is counted and timed in the mapped statistics
  // (CACHE_PERF_MONITORING=disabled: not). Hits are counted always: eviction needs them.
  bool timing = true;
  // The clock that ages and expiries go by; for tests. Must be callable from this thread at any
  // time.
  std::function<TimePoint()> now;
};

// What `gc` did.
struct Collected {
  std::uint64_t expired = 0;  // entries
  std::uint64_t evicted = 0;  // entries, because the limit has been lowered
  std::uint64_t orphans = 0;  // files that no entry names, left by killed processes
  std::uint64_t freed_bytes = 0;
};

// What `verify` found.
struct Problem {
  enum class Kind : std::uint8_t {
    database,     // SQLite finds its file damaged
    content,      // an entry whose checksum does not fit
    lost_value,   // an entry whose file is gone
    count,        // entries or bytes differ from what is kept as their sum
    tags,         // the index of tags differs from the entries
    orphan_file,  // a file that no entry names
  };
  Kind kind;
  std::string text;  // a sentence
};
struct Verified {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::vector<Problem> problems;  // the first thousand
  std::uint64_t problem_count = 0;
};

// What `repair` did.
struct Repaired {
  std::uint64_t kept = 0;     // entries, all of them intact
  std::uint64_t dropped = 0;  // entries that were seen, and were damaged
  bool rebuilt = false;       // the database was damaged, and made anew
  // Then:
  std::string saved_as;  // what the damaged one was renamed to
  // Entries of which nothing could be read; nothing: their number was lost with them.
  std::optional<std::uint64_t> unreadable;
  // Entries among those kept that may have been deleted or replaced before: nothing is left that
  // tells.
  std::uint64_t unsure = 0;
  // The limits could not be read. They are those that it was opened with, or what was kept.
  bool limits_lost = false;
};

// One namespace. Many processes may have it open, and each sees what the others have written as
// soon as their calls have returned. Entries, their number and their bytes change in one
// transaction, so that they agree whatever is killed when. A `get` writes nothing to the database
// and waits for nobody. The limits hold at every moment; to make room, a write evicts what has
// expired, and then what is worth least (see evict/gdsf.h).
//
// Errors: `corrupt` for a damaged file, with a sentence that names `sluice cache repair`;
// `unsupported` for one of a newer Sluice; `invalid_argument` for a foreign one, a bad key or
// namespace; `too_large` for a value that the limit has no room for; `no_space`; `conflict` when
// other processes would not let it write in time.
//
// For one thread at a time; two threads open it twice. A program that is about to end may skip the
// destructor (std::_Exit): nothing is lost. After writes it folds SQLite's log in, which the next
// one to open the cache has to read otherwise.
class Cache {
 public:
  static Result<Cache> open(const Location& location, const OpenOptions& options = {});
  Cache(Cache&&) noexcept;
  Cache& operator=(Cache&&) noexcept;
  ~Cache();

  // What `open` and one `get` answer, for a process that does nothing else: the quickest way to one
  // entry. When nobody has written for a moment, it reads the file without SQLite's log and locks,
  // and looks afterwards whether that was true.
  static Result<std::optional<Entry>> get_once(const Location& location, std::string_view key,
                                               const GetOptions& options = {},
                                               const OpenOptions& how = {});

  // The entry, or nothing. Opens no write transaction.
  Result<std::optional<Entry>> get(std::string_view key, const GetOptions& options = {});

  // Stores a value, in place of the one that is there. One that is refused because it is
  // `too_large` still ends the one before: that is outdated, and is deleted. After any other error
  // the value before it is there.
  Result<> set(std::string_view key, std::string_view value, const SetOptions& options = {});
  // The same with a value that comes in pieces: `next` gives one a call, and an empty one at the
  // end. Nothing is changed unless all of it came, or it is too large. `size_hint`: its size, if
  // that is known.
  using Pieces = std::function<Result<std::string_view>()>;
  Result<> set_from(std::string_view key, const Pieces& next, const SetOptions& options = {},
                    std::optional<std::uint64_t> size_hint = std::nullopt);

  // Deletes an entry. False: there was none.
  Result<bool> erase(std::string_view key);
  // Deletes all entries that are selected, some hundred a transaction. Returns their number.
  Result<std::uint64_t> erase_all(const Selector& selector);

  // All steps in one transaction, each seeing what those before it did. Answers come in order.
  // A call with more values than memory should hold is split by the caller.
  Result<std::vector<Answer>> batch(std::span<const Operation> operations);
  // The same for any amount of values: `take` gets one answer a call, in order, before the
  // transaction is committed. An error from it undoes what was done. Steps that are gets only need
  // a namespace that is open for reading, and see one state of it; only where a value's file was
  // replaced meanwhile, they see the new one.
  using TakeAnswer = std::function<Result<>(Answer answer)>;
  Result<> batch(std::span<const Operation> operations, const TakeAnswer& take);

  // Calls `each` with the selected entries in the order of their keys, stale ones too, until it
  // returns false. With `after`, those behind this key. It must not use this object, nor wait: as
  // long as this lasts, what others write makes SQLite's log longer.
  Result<> list(const Selector& selector, const std::function<bool(const EntryInfo&)>& each,
                const std::string* after = nullptr);

  // Entries and bytes at this moment. Takes the same time whatever they are.
  Result<Size> size();
  // The same, counted by walking over all entries: for checking.
  Result<Size> count();

  // Sets the limits, for all who use this namespace. What is too much by then is evicted, some
  // hundred entries a transaction; the new limits hold when this has returned.
  Result<> set_limits(const Limits& limits);

  // Folds pending hits in, deletes what has expired and files that nobody names or holds, and gives
  // free space back to the file system when there is much of it.
  Result<Collected> gc();
  // Deletes everything but the limits and statistics. Returns the number of entries.
  Result<std::uint64_t> clear();

  // Reads everything and checks it. Changes nothing.
  Result<Verified> verify();
  // Brings back all that is intact, also when the database cannot be opened. Nobody else may have
  // the namespace open: it waits for them for `busy_timeout`, then fails with `conflict`.
  static Result<Repaired> repair(const Location& location, const OpenOptions& options = {});

  [[nodiscard]] const Location& location() const;
  // False: the namespace does not exist, and was not opened to be made.
  [[nodiscard]] bool exists() const;
  // By the clock that it was opened with.
  [[nodiscard]] TimePoint now() const;
  // The mapped statistics; null if they cannot be had (a read-only folder, or no namespace).
  [[nodiscard]] Statistics* statistics();
  // What callers should tell people, a sentence each: that damaged statistics were begun anew.
  [[nodiscard]] const std::vector<std::string>& notices() const;

 private:
  struct State;
  explicit Cache(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sluice::localcache
