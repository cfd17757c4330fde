#include "localcache/cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/size.h"
#include "localcache/change.h"
#include "localcache/look_up.h"
#include "localcache/open_cache.h"

namespace sluice::localcache {

namespace {

// Whoever needs more transactions than this to find room (others take it meanwhile) gets it in one.
constexpr int kMostRounds = 1000;

// What a process leaves in the log: whoever comes first reads all of it.
constexpr off_t kLongestLog = off_t{512} << 10;
constexpr std::chrono::milliseconds kBetweenSyncs{200};

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

bool Cache::exists() const {
  return state_->open->table.has_value();
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

Result<> store(OpenCache& open, std::string_view key, PreparedValue& content,
               const SetOptions& options) {
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

Result<bool> erase_key(OpenCache& open, std::string_view key) {
  bool existed = false;
  auto done = in_steps(
      open,
      [&](Change& change) -> Result<bool> {
        auto erased = change.erase(key);
        if (!erased) return erased;
        existed = *erased;
        return true;
      },
      Purpose::free);
  if (!done) return std::unexpected(done.error());
  return existed;
}

Result<> store_or_refuse(OpenCache& open, std::string_view key, Result<PreparedValue> content,
                         const SetOptions& options) {
  Result<> stored =
      content ? store(open, key, *content, options) : std::unexpected(std::move(content.error()));
  if (!stored && stored.error().code == ErrorCode::too_large) {
    return std::unexpected(refused(std::move(stored.error()), erase_key(open, key)));
  }
  return stored;
}

}  // namespace

Result<std::optional<Entry>> Cache::get(std::string_view key, const GetOptions& options) {
  std::optional<Timer> timer;
  if (options.counts) timer.emplace(*state_->open, Timed::get);
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
  return store_or_refuse(open, key, prepare(open, key, value, limits), options);
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
    return store_or_refuse(
        open, key,
        fail(ErrorCode::too_large,
             "the value of {} has {}, and the cache may have {} in all (a value 2 GiB at most). "
             "Raise the limit with `sluice cache limit --max-size`.",
             quoted(key), format_bytes(*size_hint), format_bytes(totals->limits.max_bytes)),
        options);
  }
  std::string buffer;
  return store_or_refuse(open, key, prepare(open, key, next, totals->limits, buffer), options);
}

Result<bool> Cache::erase(std::string_view key) {
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::erase);
  if (auto checked = check_changeable(open); !checked) return std::unexpected(checked.error());
  if (auto checked = check_key(key); !checked) return std::unexpected(checked.error());
  if (!exists()) return false;
  return erase_key(open, key);
}

Result<std::uint64_t> Cache::erase_all(const Selector& selector) {
  constexpr std::size_t kStep = 500;
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::erase);
  if (auto checked = check_changeable(open); !checked) return std::unexpected(checked.error());
  std::uint64_t count = 0;
  if (!exists()) return count;
  std::optional<std::string> after;
  auto done = in_steps(
      open,
      [&](Change& change) -> Result<bool> {
        std::vector<Row> rows;
        std::size_t seen = 0;
        std::string last;
        const std::size_t most = open.step(kStep);
        auto listed =
            open.table->each(selector, after ? &*after : nullptr, most, [&](const Row& row) {
              ++seen;
              last = row.key;
              if (!selector.matches || selector.matches(row.key)) rows.push_back(row);
              return true;
            });
        if (!listed) return std::unexpected(listed.error());
        for (const Row& row : rows) {
          if (auto erased = change.erase(row); !erased) return std::unexpected(erased.error());
        }
        change.when_committed([&, erased = rows.size(), last = std::move(last)] {
          count += erased;
          after = last;
        });
        return seen < most;
      },
      Purpose::free);
  if (!done) return std::unexpected(done.error());
  return count;
}

Result<> Cache::list(const Selector& selector, const std::function<bool(const EntryInfo&)>& each,
                     const std::string* after) {
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::list);
  if (!open.table) return {};
  const std::int64_t now = open.now();
  auto done = open.table->each(selector, after, 0, [&](const Row& row) {
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
  // The database counts with a sign.
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  if (limits.max_bytes > kMost || limits.max_entries > kMost) {
    return fail(ErrorCode::invalid_argument, "a limit of a cache is {} at most.", kMost);
  }
  return in_steps(
      open,
      [&](Change& change) -> Result<bool> {
        const auto holds = change.shrink(limits, open.step(kMostEvicted));
        if (holds && *holds) change.totals().limits = limits;
        return holds;
      },
      Purpose::free);
}

}  // namespace sluice::localcache
