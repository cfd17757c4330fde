#include "localcache/cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "localcache/change.h"
#include "localcache/open_cache.h"

namespace sluice::localcache {

namespace {

// How many pending hits a write folds in, and in how many places it looks for them: it keeps one
// call short.
constexpr std::size_t kMostFolded = 4;
constexpr std::size_t kFoldPlaces = 64;
// Whoever needs more transactions than this to find room (others take it meanwhile) gets it in one.
constexpr int kMostRounds = 1000;

// What a process leaves in the log: whoever comes first reads all of it.
constexpr off_t kLongestLog = off_t{512} << 10;
constexpr std::chrono::milliseconds kBetweenSyncs{200};

// How often a read looks again when the file of a value is gone: it was replaced meanwhile.
constexpr int kMostLooks = 8;

std::uint64_t file_size(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0
             ? static_cast<std::uint64_t>(status.st_blocks) * std::uint64_t{512}
             : 0;
}

}  // namespace

Cache::Cache(std::unique_ptr<State> state) : state_(std::move(state)) {}
Cache::Cache(Cache&&) noexcept = default;
Cache& Cache::operator=(Cache&&) noexcept = default;

// Leaves an empty log if that does not cost much: then whoever comes next need not read it (see
// get_once). It takes two syncs, so those who write in a loop do it every now and then only.
Cache::~Cache() {
  if (state_ == nullptr || !state_->open->written) return;
  const std::string path = location().database();
  struct stat log{};
  struct stat database{};
  if (::stat((path + "-wal").c_str(), &log) != 0 || log.st_size == 0 ||
      ::stat(path.c_str(), &database) != 0) {
    return;
  }
  // The database's file changes only when the log is moved into it.
  const auto last = std::chrono::seconds(database.st_mtim.tv_sec) +
                    std::chrono::nanoseconds(database.st_mtim.tv_nsec);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  if (log.st_size <= kLongestLog && now - last < kBetweenSyncs && !state_->open->made) return;
  state_->open->table.reset();
  // What cannot be had at once is left to those who still read.
  static_cast<void>(
      state_->open->database->run("PRAGMA busy_timeout=0; PRAGMA wal_checkpoint(TRUNCATE)"));
}

Result<Cache> Cache::open(const Location& location, const OpenOptions& options) {
  auto open = open_cache(location, options);
  if (!open) return std::unexpected(open.error());
  auto state = std::make_unique<State>();
  state->open = std::move(*open);
  return Cache(std::move(state));
}

const Location& Cache::location() const {
  return state_->open->location;
}

TimePoint Cache::now() const {
  return from_milliseconds(state_->open->now());
}

Statistics* Cache::statistics() {
  return state_->open->statistics.get();
}

const std::vector<std::string>& Cache::notices() const {
  return state_->open->notices;
}

namespace {

bool is_wanted(const Row& row, const GetOptions& options, std::int64_t now) {
  if (!options.stale_ok && row.stale(now)) return false;
  if (!options.max_age) return true;
  // From the future: its age cannot be known.
  return row.created <= now && now - row.created <= options.max_age->count();
}

Result<std::optional<Entry>> look_up(OpenCache& open, std::string_view key,
                                     const GetOptions& options) {
  if (!open.table) return std::nullopt;
  const std::int64_t now = open.now();
  std::string file;
  for (int look = 0; look < kMostLooks; ++look) {
    std::optional<Value> value;
    bool wanted = false;
    const auto row =
        open.table->find(key, [&](const Row& found, std::string_view stored) -> Result<> {
          wanted = is_wanted(found, options, now);
          if (!wanted) return {};
          auto read = read_value(open, found, stored);
          if (!read) return std::unexpected(read.error());
          value = std::move(*read);
          return {};
        });
    if (!row) return std::unexpected(open.explain(row.error()));
    if (!*row || !wanted) {
      if (options.counts) open.count(Counter::misses);
      return std::nullopt;
    }
    if (value) {
      const bool stale = (*row)->stale(now);
      if (options.counts && open.statistics != nullptr) {
        open.statistics->add(stale ? Counter::stale_hits : Counter::hits);
        open.statistics->hit(static_cast<std::uint64_t>((*row)->id), hit_check(key),
                             from_milliseconds(now));
      }
      return Entry{(*row)->info(now), std::move(*value)};
    }
    // Twice the same name: it is not that somebody has just replaced it.
    if ((*row)->file == std::exchange(file, (*row)->file)) break;
  }
  return std::unexpected(
      open.explain(Error{ErrorCode::corrupt, Retry::never, std::nullopt,
                         fmt::format("the value of {} is gone: there is no file {}.", quoted(key),
                                     open.value_path(file))}));
}

Result<> store(OpenCache& open, std::string_view key, Content& content, const SetOptions& options) {
  int rounds = 0;
  return in_steps(open, [&](Change& change) -> Result<bool> {
    if (auto folded = change.fold(kMostFolded, kFoldPlaces); !folded) {
      return std::unexpected(folded.error());
    }
    const auto stored =
        change.set(key, content, options, ++rounds < kMostRounds ? kMostEvicted : SIZE_MAX);
    if (!stored) return std::unexpected(stored.error());
    return *stored == Stored::yes;
  });
}

}  // namespace

Result<std::optional<Entry>> Cache::get(std::string_view key, const GetOptions& options) {
  const Timer timer(*state_->open, Timed::get);
  if (auto checked = check_key(key); !checked) return std::unexpected(checked.error());
  return look_up(*state_->open, key, options);
}

Result<std::optional<Entry>> Cache::get_once(const Location& location, std::string_view key,
                                             const GetOptions& options, const OpenOptions& how) {
  if (auto checked = check_namespace(location.name); !checked) {
    return std::unexpected(checked.error());
  }
  if (auto checked = check_key(key); !checked) return std::unexpected(checked.error());
  if (const auto open = open_still(location, how)) {
    const Timer timer(*open, Timed::get);
    auto entry = look_up(*open, key, options);
    // An error is looked at once more as usual, with SQLite's own care.
    if (entry && is_still(*open)) return entry;
  }
  OpenOptions reading = how;
  reading.access = Access::read;
  auto cache = Cache::open(location, reading);
  if (!cache) return std::unexpected(cache.error());
  return cache->get(key, options);
}

Result<> Cache::set(std::string_view key, std::string_view value, const SetOptions& options) {
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::set);
  if (auto checked = check_writable(open); !checked) return checked;
  if (auto checked = check_key(key); !checked) return checked;
  if (auto checked = check_options(options); !checked) return checked;
  // A large value is written before the transaction; it is better refused before that.
  Limits limits{.max_bytes = kLongestKey + kLargestValue};
  if (value.size() > kLargestInline) {
    const auto totals = open.totals();
    if (!totals) return std::unexpected(open.explain(totals.error()));
    limits = totals->limits;
  }
  auto content = prepare(open, key, value, limits);
  if (!content) return std::unexpected(content.error());
  return store(open, key, *content, options);
}

Result<> Cache::set_from(std::string_view key, const Pieces& next, const SetOptions& options,
                         std::optional<std::uint64_t> size_hint) {
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::set);
  if (auto checked = check_writable(open); !checked) return checked;
  if (auto checked = check_key(key); !checked) return checked;
  if (auto checked = check_options(options); !checked) return checked;
  const auto totals = open.totals();
  if (!totals) return std::unexpected(open.explain(totals.error()));
  if (size_hint && (*size_hint > totals->limits.max_bytes || *size_hint > kLargestValue)) {
    return fail(ErrorCode::too_large,
                "the value of {} has {} bytes, and the cache may have {} (a value 2 GiB). Raise "
                "the limit with `sluice cache limit --max-size`.",
                quoted(key), *size_hint, totals->limits.max_bytes);
  }
  std::string buffer;
  auto content = prepare(open, key, next, totals->limits, buffer);
  if (!content) return std::unexpected(content.error());
  return store(open, key, *content, options);
}

Result<bool> Cache::erase(std::string_view key) {
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::erase);
  if (auto checked = check_writable(open); !checked) return std::unexpected(checked.error());
  if (auto checked = check_key(key); !checked) return std::unexpected(checked.error());
  bool existed = false;
  auto done = in_steps(open, [&](Change& change) -> Result<bool> {
    auto erased = change.erase(key);
    if (!erased) return erased;
    existed = *erased;
    return true;
  });
  if (!done) return std::unexpected(done.error());
  return existed;
}

Result<std::uint64_t> Cache::erase_all(const Selector& selector) {
  constexpr std::size_t kStep = 500;
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::erase);
  if (auto checked = check_writable(open); !checked) return std::unexpected(checked.error());
  std::uint64_t count = 0;
  std::optional<std::string> after;
  auto done = in_steps(open, [&](Change& change) -> Result<bool> {
    std::vector<Row> rows;
    std::size_t seen = 0;
    auto listed = open.table->each(selector, after ? &*after : nullptr, kStep, [&](Row row) {
      ++seen;
      after = row.key;
      if (!selector.matches || selector.matches(row.key)) rows.push_back(std::move(row));
      return true;
    });
    if (!listed) return std::unexpected(listed.error());
    for (const Row& row : rows) {
      if (auto erased = change.erase(row); !erased) return std::unexpected(erased.error());
      ++count;
    }
    return seen < kStep;
  });
  if (!done) return std::unexpected(done.error());
  return count;
}

namespace {

Answer get_answer(OpenCache& open, std::string_view key) {
  Answer answer{.done = check_key(key)};
  if (!answer.done) return answer;
  auto entry = look_up(open, key, {});
  if (entry) {
    answer.entry = std::move(*entry);
    answer.found = answer.entry.has_value();
  } else {
    answer.done = std::unexpected(entry.error());
  }
  return answer;
}

Result<> get_many(OpenCache& open, std::span<const Operation> operations,
                  const Cache::TakeAnswer& take) {
  std::optional<sqlite::Snapshot> snapshot;
  for (const Operation& operation : operations) {
    if (open.database != nullptr && !snapshot) {
      auto begun = sqlite::Snapshot::begin(*open.database);
      if (!begun) return std::unexpected(open.explain(begun.error()));
      snapshot.emplace(std::move(*begun));
    }
    Answer answer = get_answer(open, operation.key);
    if (!answer.done && answer.done.error().code == ErrorCode::corrupt) {
      // A writer may have deleted the file of a value that is replaced by now.
      snapshot.reset();
      answer = get_answer(open, operation.key);
    }
    if (auto taken = take(std::move(answer)); !taken) return taken;
  }
  return {};
}

// What a set of a batch stores, or why it cannot. An error concerns the whole batch.
Result<Result<Content>> prepare_step(OpenCache& open, const Operation& operation,
                                     const Limits& limits) {
  auto content = prepare(open, operation.key, operation.value, limits);
  if (!content && content.error().code != ErrorCode::too_large) {
    return std::unexpected(content.error());
  }
  return content;
}

// A step that has passed its checks. `large`: its content, if that is prepared already.
Result<Answer> do_step(OpenCache& open, Change& change, const Operation& operation,
                       std::optional<Content>& large) {
  if (operation.kind == Operation::Kind::get) return get_answer(open, operation.key);
  Answer answer;
  if (operation.kind == Operation::Kind::erase) {
    const auto erased = change.erase(operation.key);
    if (!erased) return std::unexpected(erased.error());
    answer.found = *erased;
    return answer;
  }
  if (!large) {
    auto content = prepare_step(open, operation, change.totals().limits);
    if (!content) return std::unexpected(content.error());
    if (!*content) {
      answer.done = std::unexpected(content->error());
      return answer;
    }
    large.emplace(std::move(**content));
  }
  const auto stored = change.set(operation.key, *large, operation.options, SIZE_MAX);
  large.reset();
  if (!stored && stored.error().code != ErrorCode::too_large) {
    return std::unexpected(stored.error());
  }
  if (!stored) answer.done = std::unexpected(stored.error());
  return answer;
}

}  // namespace

Result<std::vector<Answer>> Cache::batch(std::span<const Operation> operations) {
  std::vector<Answer> answers;
  answers.reserve(operations.size());
  auto done = batch(operations, [&](Answer answer) -> Result<> {
    answers.push_back(std::move(answer));
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return answers;
}

Result<> Cache::batch(std::span<const Operation> operations, const TakeAnswer& take) {
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::batch);
  if (std::ranges::all_of(operations, [](const Operation& operation) {
        return operation.kind == Operation::Kind::get;
      })) {
    return get_many(open, operations, take);
  }
  if (auto checked = check_writable(open); !checked) return checked;
  const auto totals = open.totals();
  if (!totals) return std::unexpected(open.explain(totals.error()));
  // Files take long to write, and others wait for a transaction.
  std::vector<std::optional<Content>> large(operations.size());
  std::vector<Result<>> checked(operations.size());
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const Operation& operation = operations[i];
    checked[i] = check_key(operation.key);
    if (operation.kind != Operation::Kind::set || !checked[i]) continue;
    checked[i] = check_options(operation.options);
    if (!checked[i] || operation.value.size() <= kLargestInline) continue;
    auto content = prepare_step(open, operation, totals->limits);
    if (!content) return std::unexpected(content.error());
    if (!*content) {
      checked[i] = std::unexpected(content->error());
    } else if ((*content)->file) {
      large[i].emplace(std::move(**content));
    }
  }
  return in_steps(open, [&](Change& change) -> Result<bool> {
    const std::size_t sets = operations.size();
    if (auto folded = change.fold(kMostFolded + sets, kFoldPlaces + sets); !folded) {
      return std::unexpected(folded.error());
    }
    for (std::size_t i = 0; i < operations.size(); ++i) {
      auto answer = checked[i] ? do_step(open, change, operations[i], large[i])
                               : Result<Answer>(Answer{.done = std::move(checked[i])});
      if (!answer) return std::unexpected(answer.error());
      if (auto taken = take(std::move(*answer)); !taken) return std::unexpected(taken.error());
    }
    return true;
  });
}

Result<> Cache::list(const Selector& selector, const std::function<bool(const EntryInfo&)>& each) {
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::list);
  if (!open.table) return {};
  const std::int64_t now = open.now();
  auto done = open.table->each(selector, nullptr, 0, [&](const Row& row) {
    return (selector.matches && !selector.matches(row.key)) || each(row.info(now));
  });
  if (!done) return std::unexpected(open.explain(done.error()));
  return {};
}

Result<Size> Cache::size() {
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::size);
  if (!open.table) return Size{.limits = open.options.limits};
  const auto totals = open.totals();
  if (!totals) return std::unexpected(open.explain(totals.error()));
  const std::string database = location().database();
  return Size{.entries = totals->entries,
              .bytes = totals->bytes,
              .disk_bytes = file_size(database) + file_size(database + "-wal") + totals->file_bytes,
              .limits = totals->limits};
}

Result<Size> Cache::count() {
  auto size = this->size();
  if (!size || !state_->open->table) return size;
  size->entries = 0;
  size->bytes = 0;
  auto done = state_->open->table->each({}, nullptr, 0, [&](const Row& row) {
    ++size->entries;
    size->bytes += row.bytes();
    return true;
  });
  if (!done) return std::unexpected(state_->open->explain(done.error()));
  return size;
}

Result<> Cache::set_limits(const Limits& limits) {
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::limit);
  if (auto checked = check_writable(open); !checked) return checked;
  if (limits.max_bytes == 0) {
    return fail(ErrorCode::invalid_argument,
                "a cache of 0 bytes holds nothing. Name a size, or clear it.");
  }
  return in_steps(open, [&](Change& change) -> Result<bool> {
    const auto holds = change.shrink(limits, kMostEvicted);
    if (holds && *holds) change.totals().limits = limits;
    return holds;
  });
}

}  // namespace sluice::localcache
