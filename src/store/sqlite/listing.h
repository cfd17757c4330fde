// Listing: pages of one namespace in key order.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sqlite/database.h"
#include "store/store.h"

namespace sluice::store {

// Reads pages by merging the runs of a table (see schema.h), or by its index where that is quicker:
// for a short request and when there are too many runs. Both give the same pages; a page is
// complete in itself, nothing but a hint is kept between two of them.
//
// A cursor is the last key that was looked at, in base64: it stays good whatever is written, in
// another process and after a crash too.
class Listing {
 public:
  Listing(sqlite::Database& database, std::int64_t namespace_id);

  // At most `limit` entries, and about kPageBytes of them. `now`: entries that expire until then
  // are left out.
  Result<Page> page(const ListRequest& request, std::size_t limit, std::int64_t now);

  // See Store::split. Takes the keys of some ids from all over the table: a probe costs a look-up
  // by id.
  Result<std::vector<std::string>> split(std::string_view prefix, std::size_t parts);

 private:
  // Where a page begins and ends: keys from `from` (itself only if `inclusive`) up to, not
  // including, `end` (empty: no end), and up to and including `until` (empty: no such bound).
  struct Range {
    std::string from;
    bool inclusive = true;
    std::string end;
    std::string until;
    [[nodiscard]] bool begins_after(std::string_view key) const {
      return inclusive ? key < from : key <= from;
    }
    [[nodiscard]] bool ends_before(std::string_view key) const {
      return (!end.empty() && key >= end) || (!until.empty() && key > until);
    }
  };
  // A run, and one statement that reads it from some id on, standing on its least key not yet
  // taken.
  struct Run {
    std::int64_t first = 0;
    std::int64_t last = 0;
    // Every id of the run up to this one has a key that is not in the rest of the listing.
    std::int64_t passed = 0;
    sqlite::Statement rows;
    std::string_view key;  // of the row that `rows` stands on
  };
  class Filler;

  static Result<Range> range_of(const ListRequest& request);
  static std::string hint_of(std::string_view cursor, const ListRequest& request);
  // How many runs there are, as far as it matters: one more than kMostMergedRuns at most.
  Result<std::size_t> count_runs();
  Result<> load_runs(const Range& range);
  // Finds, by bisection, an id up to which the run's keys lie before the range.
  Result<std::int64_t> bisect(const Run& run, const Range& range);
  // Moves to the first row of the run that lies in the range, or from one to the next. False: there
  // is none.
  static Result<bool> enter(Run& run, const Range& range);
  static Result<bool> advance(Run& run, const Range& range);
  Result<> fill_by_runs(const Range& range, Filler& filler);
  Result<> fill_by_index(const Range& range, Filler& filler);

  sqlite::Database& database_;
  std::string table_;
  std::int64_t namespace_id_;
  sqlite::Statement count_runs_;
  sqlite::Statement read_runs_;
  sqlite::Statement probe_;
  sqlite::Statement value_;
  sqlite::Statement by_index_;
  bool by_index_has_values_ = false;
  bool runs_have_values_ = false;
  std::vector<Run> runs_;
  // The listing (its cursor, prefix and bound) for whose next page `runs_[…].passed` holds.
  std::string hint_;
};

}  // namespace sluice::store
