// Change: one write transaction of a namespace.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "evict/gdsf.h"
#include "localcache/prepare.h"
#include "localcache/statistics.h"

namespace sluice::localcache {

// A value that is refused for its size tells that the one before it is outdated, which is deleted,
// so that nobody takes it for the newest. The error to return: `error`, which says so if there was
// one.
Error refused(Error error, Result<bool> erased);

// How many pending hits a write folds in, and in how many places it looks for them: it keeps one
// call short.
inline constexpr std::size_t kMostFolded = 4;
inline constexpr std::size_t kFoldPlaces = 64;

// Whether there was room for an entry.
enum class Stored : std::uint8_t {
  yes,
  // As much was evicted as one transaction may, and more has to go: commit, and do it again.
  again,
};

// Keeps the totals true and the limits held. Without `commit` nothing has happened.
class Change {
 public:
  static Result<Change> begin(OpenCache& open);

  Result<Stored> set(std::string_view key, PreparedValue& content, const SetOptions& options,
                     std::size_t most_evicted);
  Result<bool> erase(std::string_view key);
  // A row of this transaction's table.
  Result<> erase(const Row& row);

  // Evicts entries, `most` at most, until `limits` hold. Returns whether they do.
  Result<bool> shrink(const Limits& limits, std::size_t most);
  // Deletes what has expired, `most` at most. Returns how many that were.
  Result<std::uint64_t> erase_expired(std::size_t most);
  // Deletes everything but the limits.
  Result<> clear();
  // Folds pending hits into the rows that they belong to. Returns how many rows that were.
  Result<std::uint64_t> fold(std::size_t most, std::size_t places);

  [[nodiscard]] Totals& totals() { return totals_; }
  [[nodiscard]] std::uint64_t evicted() const { return evicted_; }

  // Calls `then` when it is committed: what is done with it must not be believed before.
  void when_committed(std::function<void()> then) { then_.push_back(std::move(then)); }
  Result<> commit();

 private:
  Change(OpenCache& open, sqlite::Transaction transaction, const Totals& totals)
      : open_(&open),
        table_(&*open.table),
        transaction_(std::move(transaction)),
        before_(totals),
        totals_(totals),
        policy_(totals.inflation),
        now_(open.now()) {}

  [[nodiscard]] double priority(const Row& row) const;
  // Takes the next one that has to go out of the totals, tags and files, and leaves its row to be
  // overwritten or erased. Never the row `but`. Nothing: there is none.
  Result<std::optional<Row>> evict(std::int64_t but);
  Result<> take_out(const Row& row);
  Result<bool> fold_into(Row& row);
  // Hits that belong to another entry, which had the id before, are none of this one's.
  Result<bool> add_hits(Row& row, const Statistics::Hits& hits);

  OpenCache* open_;
  Table* table_;
  sqlite::Transaction transaction_;
  Totals before_;
  Totals totals_;
  evict::Gdsf policy_;
  std::int64_t now_;
  std::uint64_t evicted_ = 0;
  std::uint64_t expired_ = 0;
  std::vector<NewValueFile> new_files_;
  std::vector<std::string> old_files_;
  std::vector<std::function<void()>> then_;
};

// How many entries one transaction evicts: it keeps everybody's waits short. A value that needs
// more room makes it in several.
inline constexpr std::size_t kMostEvicted = 256;

// What a change is for.
enum class Purpose : std::uint8_t {
  store,
  // Something goes. That must work on a full disk, too, where SQLite has no room to write down what
  // it deletes: then the log is written anew from its beginning, transactions are small
  // (OpenCache::step), and at last the reserve is used.
  free,
};

// Runs `step` in one transaction after the other, until it says that it is done. It may be run
// again for a transaction that was not committed: see Change::when_committed. Errors are explained.
Result<> in_steps(OpenCache& open, const std::function<Result<bool>(Change&)>& step,
                  Purpose purpose = Purpose::store);

}  // namespace sluice::localcache
