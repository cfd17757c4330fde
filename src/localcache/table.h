// Table: the rows of one open namespace, and the statements that read and change them. What checks
// or mends a database as a whole has statements of its own (verify, repair).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/error.h"
#include "localcache/content.h"
#include "localcache/entry.h"
#include "sqlite/database.h"

namespace sluice::localcache {

// Times are Unix milliseconds. The clock counts nanoseconds, and so ends with the year 2261: what
// lies beyond is taken for that.
inline constexpr std::int64_t kLatestTime = 9'214'646'400'000;
[[nodiscard]] std::int64_t to_milliseconds(TimePoint time);
[[nodiscard]] TimePoint from_milliseconds(std::int64_t time);

// What is kept of an entry beside its value.
struct Row {
  std::int64_t id = 0;
  std::string key;
  std::uint64_t value_bytes = 0;
  std::int64_t created = 0;
  std::int64_t expires = 0;  // 0: never
  std::int64_t used = 0;
  std::uint64_t hits = 0;
  std::int64_t cost = 0;
  double priority = 0;
  std::uint32_t form = 0;
  std::uint64_t checksum = 0;
  std::string tags;  // packed
  std::string file;  // if its value is in one
  std::uint64_t file_bytes = 0;

  [[nodiscard]] std::uint64_t bytes() const { return key.size() + value_bytes; }
  [[nodiscard]] bool in_file() const { return (form & Form::in_file) != 0; }
  [[nodiscard]] Sealed sealed() const {
    return {.key = key,
            .value_bytes = value_bytes,
            .created = created,
            .expires = expires,
            .form = form,
            .tags = tags};
  }
  // Sets `file` and `file_bytes`, if the value is in one, from what is stored in its place.
  void read_file(std::string_view stored);
  // It has expired; or its age cannot be known, since it comes from the future: the clock was set
  // back.
  [[nodiscard]] bool stale(std::int64_t now) const;
  [[nodiscard]] EntryInfo info(std::int64_t now) const;
};

// What is stored in place of a value: where it is, and how large that is.
std::string file_column(std::string_view name, std::uint64_t file_bytes);

// The row of `state`.
struct Totals {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t file_bytes = 0;
  double inflation = 0;
  Limits limits;
  bool operator==(const Totals&) const = default;
};

// Statements are prepared when they are needed first. One thread at a time. `database` must outlive
// it. Nothing here begins or ends a transaction.
class Table {
 public:
  explicit Table(sqlite::Database& database) : database_(database) {}

  // The row of `key`. `read`, if it is given, is called with the row and with what is stored there,
  // while that is valid.
  using Reader = std::function<Result<>(const Row& row, std::string_view stored)>;
  Result<std::optional<Row>> find(std::string_view key, const Reader& read = nullptr);
  Result<std::optional<Row>> find_id(std::int64_t id);

  // Of `row`, all but its file: `stored` is the value, or what file_column made. An id of 0 is
  // given one.
  Result<> insert(Row& row, std::string_view stored);
  // Overwrites the row of this id, in its place.
  Result<> update(const Row& row, std::string_view stored);
  Result<> erase(std::int64_t id);
  Result<> add_tags(std::int64_t id, std::string_view packed);
  Result<> remove_tags(std::int64_t id, std::string_view packed);
  // Hits that were folded in.
  Result<> touch(const Row& row);

  // The row that expired first, if one has by `now`; other than `but`.
  Result<std::optional<Row>> first_expired(std::int64_t now, std::int64_t but);
  // The row with the least priority; other than `but`.
  Result<std::optional<Row>> least(std::int64_t but);

  // Up to `most` selected rows behind `after` in the order of keys (none: from the beginning), or
  // nothing more. `prefix` and `tag` of the selector only.
  Result<> each(const Selector& selector, const std::string* after, std::size_t most,
                const std::function<bool(const Row&)>& take);
  // The names of all files of values.
  Result<std::set<std::string>> files();
  // Deletes every row and tag.
  Result<> clear();
  // Rows by id, with what is stored: for checking. From `from` on, until `take` returns false.
  Result<> scan(std::int64_t from, const std::function<bool(const Row&, std::string_view)>& take);

  Result<Totals> totals();
  Result<> set_totals(const Totals& totals);

 private:
  Result<sqlite::Statement*> ready(sqlite::Statement& statement, std::string_view sql);
  Result<std::optional<Row>> one(sqlite::Statement& statement, const Reader& read);

  sqlite::Database& database_;
  sqlite::Statement find_;
  sqlite::Statement find_id_;
  sqlite::Statement insert_;
  sqlite::Statement update_;
  sqlite::Statement erase_;
  sqlite::Statement add_tag_;
  sqlite::Statement remove_tag_;
  sqlite::Statement touch_;
  sqlite::Statement first_expired_;
  sqlite::Statement least_;
  sqlite::Statement totals_;
  sqlite::Statement set_totals_;
};

}  // namespace sluice::localcache
