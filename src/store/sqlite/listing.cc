#include "store/sqlite/listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "store/limits.h"
#include "store/sqlite/key_merge.h"
#include "store/sqlite/schema.h"

namespace sluice::store {

namespace {

// A page of large values ends here, so that memory does not depend on their size.
constexpr std::size_t kPageBytes = std::size_t{2} << 20;
// Rows looked at for one page: a stretch of expired entries gives an empty page with a cursor, not
// a call without an end.
constexpr std::size_t kMostRowsLookedAt = 50'000;
// Up to so many runs their beginnings are found as quickly as the index finds its own. Above it, a
// listing's first page comes by the index, and is short: most listings by prefix end with it.
constexpr std::size_t kFewRuns = 8;
constexpr std::size_t kShortPage = 1000;
// Keys looked at for each part of a split: parts then differ in size by about a third.
constexpr std::size_t kProbesOfAPart = 16;
constexpr std::size_t kMostSplitParts = 256;
// A value up to this size is read with its row; a larger one when its row is taken, since the merge
// holds a row of every run.
constexpr int kInlineValue = 1024;

// Both statements give these columns, the last two only when values are asked for.
enum Column : int { kKey, kMetadata, kExpiry, kId, kValueSize, kValue };

}  // namespace

// Collects the entries of one page.
class Listing::Filler {
 public:
  Filler(std::size_t limit, bool values, std::int64_t now)
      : limit_(limit), values_(values), now_(now) {
    page_.entries.reserve(limit);
  }

  // Whether the page takes the row, of whatever size, on which `rows` stands. If not, the page is
  // full, and the listing goes on behind the last row that was taken.
  [[nodiscard]] bool takes(const sqlite::Statement& rows) const {
    if (page_.entries.empty() && looked_at_ == 0) return true;
    if (page_.entries.size() >= limit_ || looked_at_ >= kMostRowsLookedAt) return false;
    if (page_.entries.bytes() >= kPageBytes) return false;
    return !values_ || page_.entries.empty() ||
           page_.entries.bytes() + static_cast<std::size_t>(rows.int64(kValueSize)) <= kPageBytes;
  }

  Result<> take(const sqlite::Statement& rows, std::string_view key,
                sqlite::Statement& value_by_id) {
    ++looked_at_;
    EntryView entry;
    entry.expiration = rows.int64(kExpiry);  // NULL reads as 0: never
    Block& block = page_.entries;
    last_ = entry.key = block.copy(key);
    if (entry.expiration != 0 && entry.expiration <= now_) return {};
    entry.metadata = block.copy(rows.text(kMetadata));
    if (values_) {
      entry.presence = Presence::present;
      if (!rows.is_null(kValue)) {
        entry.value = block.copy(rows.blob(kValue));
      } else {
        value_by_id.bind_int64(1, rows.int64(kId));
        auto found = value_by_id.step();
        if (!found) return std::unexpected(std::move(found.error()));
        entry.value = block.copy(value_by_id.blob(0));
        value_by_id.reset();
      }
    }
    block.append_in_place(entry);
    return {};
  }

  // Marks the page as one that others follow.
  void set_more() { page_.cursor = cursor_of_key(last_); }
  [[nodiscard]] bool values() const { return values_; }
  [[nodiscard]] Page& page() { return page_; }

 private:
  std::size_t limit_;
  bool values_;
  std::int64_t now_;
  std::size_t looked_at_ = 0;
  std::string_view last_;  // in page_
  Page page_;
};

Listing::Listing(sqlite::Database& database, std::int64_t namespace_id)
    : database_(database), table_(entries_table(namespace_id)), namespace_id_(namespace_id) {}

Result<Listing::Range> Listing::range_of(const ListRequest& request) {
  Range range{.from = std::string(request.prefix),
              .inclusive = true,
              .end = end_of_prefix(request.prefix),
              .until = std::string(request.until)};
  std::string after(request.after);
  if (!request.cursor.empty()) {
    auto key = key_of_cursor(request.cursor);
    if (!key) return std::unexpected(std::move(key.error()));
    after = std::move(*key);
  }
  if (!after.empty() && after >= range.from) {
    range.from = std::move(after);
    range.inclusive = false;
  }
  return range;
}

Result<Page> Listing::page(const ListRequest& request, std::size_t limit, std::int64_t now) {
  auto range = range_of(request);
  if (!range) return std::unexpected(std::move(range.error()));
  auto snapshot = sqlite::Snapshot::begin(database_);
  if (!snapshot) return std::unexpected(std::move(snapshot.error()));

  auto runs = count_runs();
  if (!runs) return std::unexpected(std::move(runs.error()));
  const bool by_index = *runs > kMostMergedRuns ||
                        (*runs > kFewRuns && (request.cursor.empty() || limit <= kShortPage));
  if (by_index && *runs <= kMostMergedRuns) limit = std::min(limit, kShortPage);

  Filler filler(limit, request.values, now);
  if (!value_) {
    auto prepared = database_.prepare(fmt::format("SELECT value FROM {} WHERE id=?1", table_));
    if (!prepared) return std::unexpected(std::move(prepared.error()));
    value_ = std::move(*prepared);
  }
  if (by_index) {
    if (auto filled = fill_by_index(*range, filler); !filled)
      return std::unexpected(filled.error());
    return std::move(filler.page());
  }
  if (request.values != runs_have_values_) {
    runs_.clear();
    runs_have_values_ = request.values;
  }
  if (request.cursor.empty() || hint_ != hint_of(request.cursor, request)) {
    for (Run& run : runs_) run.passed = 0;
  }
  hint_.clear();
  auto filled = load_runs(*range);
  if (filled) filled = fill_by_runs(*range, filler);
  for (Run& run : runs_) run.rows.reset();
  if (!filled) {
    runs_.clear();
    return std::unexpected(std::move(filled.error()));
  }
  hint_ = hint_of(filler.page().cursor, request);
  return std::move(filler.page());
}

// A cursor is base64 and holds no space; prefix and bound are told apart by the prefix's length.
std::string Listing::hint_of(std::string_view cursor, const ListRequest& request) {
  return fmt::format("{} {}:{}{}", cursor, request.prefix.size(), request.prefix, request.until);
}

Result<std::vector<std::string>> Listing::split(std::string_view prefix, std::size_t parts) {
  std::vector<std::string> keys;
  auto snapshot = sqlite::Snapshot::begin(database_);
  if (!snapshot) return std::unexpected(std::move(snapshot.error()));
  auto least = database_.number(fmt::format("SELECT min(id) FROM {}", table_), 0);
  auto most = database_.number(fmt::format("SELECT max(id) FROM {}", table_), 0);
  if (!least || !most) return std::unexpected(!least ? least.error() : most.error());
  auto probe = database_.prepare(
      fmt::format("SELECT key FROM {} WHERE id >= ?1 ORDER BY id LIMIT 1", table_));
  if (!probe) return std::unexpected(std::move(probe.error()));
  const auto probes = static_cast<std::int64_t>(std::min(parts, kMostSplitParts) * kProbesOfAPart);
  if (parts < 2 || *most - *least < probes) return keys;
  for (std::int64_t i = 0; i < probes; ++i) {
    // The middle of the i-th of as many equal stretches of ids, without overflow.
    probe->bind_int64(1, *least + (*most - *least) / probes * i + (*most - *least) / probes / 2);
    auto row = probe->step();
    if (!row) return std::unexpected(std::move(row.error()));
    if (*row && probe->text(0).starts_with(prefix)) keys.emplace_back(probe->text(0));
    probe->reset();
  }
  return split_points(std::move(keys), parts);
}

// A namespace that was written key by key may have as many runs as entries.
Result<std::size_t> Listing::count_runs() {
  if (!count_runs_) {
    auto prepared = database_.prepare(
        fmt::format("SELECT count(*) FROM (SELECT 1 FROM runs WHERE namespace={} LIMIT {})",
                    namespace_id_, kMostMergedRuns + 1));
    if (!prepared) return std::unexpected(std::move(prepared.error()));
    count_runs_ = std::move(*prepared);
  }
  auto row = count_runs_.step();
  if (!row) return std::unexpected(std::move(row.error()));
  const std::int64_t count = count_runs_.int64(0);
  count_runs_.reset();
  return static_cast<std::size_t>(count);
}

Result<> Listing::load_runs(const Range& range) {
  if (!read_runs_) {
    auto prepared =
        database_.prepare("SELECT first, last FROM runs WHERE namespace=?1 ORDER BY first");
    if (!prepared) return std::unexpected(std::move(prepared.error()));
    read_runs_ = std::move(*prepared);
  }
  // Runs are only ever added behind the others, extended at their end, or taken away.
  std::vector<Run> before = std::exchange(runs_, {});
  auto old = before.begin();
  read_runs_.bind_int64(1, namespace_id_);
  for (;;) {
    auto row = read_runs_.step();
    if (!row) return std::unexpected(std::move(row.error()));
    if (!*row) break;
    const std::int64_t first = read_runs_.int64(0);
    while (old != before.end() && old->first < first) ++old;
    Run run;
    if (old != before.end() && old->first == first) run = std::move(*old++);
    run.first = first;
    run.last = read_runs_.int64(1);
    runs_.push_back(std::move(run));
  }
  read_runs_.reset();
  for (Run& run : runs_) {
    if (!run.rows) {
      auto prepared = database_.prepare(fmt::format(
          "SELECT key, metadata, expires_at, id{} FROM {} WHERE id > ?1 AND id <= ?2 ORDER BY id",
          runs_have_values_
              ? fmt::format(", length(value), CASE WHEN length(value) <= {} THEN value END",
                            kInlineValue)
              : "",
          table_));
      if (!prepared) return std::unexpected(std::move(prepared.error()));
      run.rows = std::move(*prepared);
    }
    if (run.passed == 0) {
      auto passed = bisect(run, range);
      if (!passed) return std::unexpected(std::move(passed.error()));
      run.passed = *passed;
    }
  }
  return {};
}

Result<std::int64_t> Listing::bisect(const Run& run, const Range& range) {
  if (!probe_) {
    auto prepared = database_.prepare(fmt::format(
        "SELECT id, key FROM {} WHERE id >= ?1 AND id <= ?2 ORDER BY id LIMIT 1", table_));
    if (!prepared) return std::unexpected(std::move(prepared.error()));
    probe_ = std::move(*prepared);
  }
  // Every id up to `passed` lies before the range; no id from `open` on is known to.
  std::int64_t passed = run.first - 1;
  std::int64_t open = run.last + 1;
  while (open - passed > 1) {
    const std::int64_t middle = passed + (open - passed) / 2;
    probe_.bind_int64(1, middle);
    probe_.bind_int64(2, run.last);
    auto row = probe_.step();
    if (!row) return std::unexpected(std::move(row.error()));
    if (*row && range.begins_after(probe_.text(1))) {
      passed = probe_.int64(0);
    } else {
      open =
          middle;  // a gap to the end of the run counts as behind the beginning: it holds nothing
    }
    probe_.reset();
  }
  return passed;
}

Result<bool> Listing::enter(Run& run, const Range& range) {
  // `passed` is a lower bound only: a run may have been extended since.
  do {
    auto row = run.rows.step();
    if (!row) return std::unexpected(std::move(row.error()));
    if (!*row) return false;
    run.key = run.rows.text(kKey);
  } while (range.begins_after(run.key));
  return !range.ends_before(run.key);
}

Result<bool> Listing::advance(Run& run, const Range& range) {
  auto row = run.rows.step();
  if (!row) return std::unexpected(std::move(row.error()));
  if (!*row) return false;
  run.key = run.rows.text(kKey);
  return !range.ends_before(run.key);
}

Result<> Listing::fill_by_runs(const Range& range, Filler& filler) {
  std::vector<Run*> entered;  // those that have rows left
  for (Run& run : runs_) {
    run.rows.bind_int64(1, run.passed);
    run.rows.bind_int64(2, run.last);
    auto more = enter(run, range);
    if (!more) return std::unexpected(std::move(more.error()));
    if (*more) {
      entered.push_back(&run);
    } else {
      run.passed = run.last;
    }
  }
  std::vector<std::string_view> keys;
  for (const Run* run : entered) keys.push_back(run->key);
  KeyMerge merge(std::move(keys));
  std::vector<bool> ended(entered.size());
  while (!merge.empty()) {
    Run& run = *entered[merge.least()];
    if (!filler.takes(run.rows)) {
      filler.set_more();
      break;
    }
    if (auto taken = filler.take(run.rows, run.key, value_); !taken) return taken;
    auto more = advance(run, range);
    if (!more) return std::unexpected(std::move(more.error()));
    if (*more) {
      merge.advance(run.key);
    } else {
      ended[merge.least()] = true;
      merge.end();
    }
  }
  for (std::size_t i = 0; i < entered.size(); ++i) {
    Run& run = *entered[i];
    run.passed = ended[i] ? run.last : run.rows.int64(kId) - 1;
  }
  return {};
}

Result<> Listing::fill_by_index(const Range& range, Filler& filler) {
  if (!by_index_ || by_index_has_values_ != filler.values()) {
    auto prepared = database_.prepare(
        fmt::format("SELECT key, metadata, expires_at, id{} FROM {} WHERE key >= ?1 ORDER BY key",
                    filler.values() ? ", length(value), value" : "", table_));
    if (!prepared) return std::unexpected(std::move(prepared.error()));
    by_index_ = std::move(*prepared);
    by_index_has_values_ = filler.values();
  }
  by_index_.bind_text(1, range.from);
  Result<> result;
  for (;;) {
    auto row = by_index_.step();
    if (!row) return std::unexpected(std::move(row.error()));
    if (!*row) break;
    const std::string_view key = by_index_.text(kKey);
    if (range.begins_after(key)) continue;
    if (range.ends_before(key)) break;
    if (!filler.takes(by_index_)) {
      filler.set_more();
      break;
    }
    result = filler.take(by_index_, key, value_);
    if (!result) break;
  }
  by_index_.reset();
  return result;
}

}  // namespace sluice::store
