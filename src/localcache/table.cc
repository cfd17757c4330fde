#include "localcache/table.h"

#include <algorithm>
#include <charconv>

namespace sluice::localcache {

namespace {

// Less than this, a clock differs from another one, or is being corrected.
constexpr std::int64_t kClockSlack = 2000;

// What read_row reads, in its order. Another one than `stored` is read without touching the pages
// of a long value.
#define SLUICE_ROW \
  "id, key, value_bytes, created, expires, used, hits, cost, priority, form, checksum, tags"
constexpr int kStored = 12;
// What a file is called, nothing of a value.
#define SLUICE_FILE "CASE WHEN form & 2 THEN stored END"

Row read_row(const sqlite::Statement& rows) {
  Row row;
  row.id = rows.int64(0);
  row.key = rows.blob(1);
  row.value_bytes = static_cast<std::uint64_t>(rows.int64(2));
  row.created = rows.int64(3);
  row.expires = rows.int64(4);
  row.used = rows.int64(5);
  row.hits = static_cast<std::uint64_t>(rows.int64(6));
  row.cost = rows.int64(7);
  row.priority = rows.real(8);
  row.form = static_cast<std::uint32_t>(rows.int64(9));
  row.checksum = static_cast<std::uint64_t>(rows.int64(10));
  row.tags = rows.blob(11);
  if (row.in_file()) row.read_file(rows.blob(kStored));
  return row;
}

// The parameters of an insert and an update, from 1 to 13.
void bind_row(sqlite::Statement& statement, const Row& row, std::string_view stored) {
  if (row.id == 0) {
    statement.bind_null(1);
  } else {
    statement.bind_int64(1, row.id);
  }
  statement.bind_blob(2, row.key);
  statement.bind_int64(3, static_cast<std::int64_t>(row.value_bytes));
  statement.bind_int64(4, row.created);
  if (row.expires == 0) {
    statement.bind_null(5);
  } else {
    statement.bind_int64(5, row.expires);
  }
  statement.bind_int64(6, row.used);
  statement.bind_int64(7, static_cast<std::int64_t>(row.hits));
  statement.bind_int64(8, row.cost);
  statement.bind_double(9, row.priority);
  statement.bind_int64(10, row.form);
  statement.bind_int64(11, static_cast<std::int64_t>(row.checksum));
  if (row.tags.empty()) {
    statement.bind_null(12);
  } else {
    statement.bind_blob(12, row.tags);
  }
  statement.bind_blob(13, stored);
}

// The least text above all that begin with `prefix`; empty: there is none.
std::string end_of(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

}  // namespace

std::int64_t to_milliseconds(TimePoint time) {
  return std::chrono::floor<Milliseconds>(time.time_since_epoch()).count();
}

TimePoint from_milliseconds(std::int64_t time) {
  return TimePoint(Milliseconds(std::clamp<std::int64_t>(time, 0, kLatestTime)));
}

std::string file_column(std::string_view name, std::uint64_t file_bytes) {
  return fmt::format("{} {}", name, file_bytes);
}

void Row::read_file(std::string_view stored) {
  if (!in_file()) return;
  const std::size_t space = std::min(stored.find(' '), stored.size());
  file = stored.substr(0, space);
  if (space < stored.size()) {
    std::from_chars(stored.data() + space + 1, stored.data() + stored.size(), file_bytes);
  }
}

bool Row::stale(std::int64_t now) const {
  return expires != 0 && (expires <= now || created > now + kClockSlack);
}

EntryInfo Row::info(std::int64_t now) const {
  return {.key = key,
          .value_bytes = value_bytes,
          .created = from_milliseconds(created),
          .expires = expires != 0 ? std::optional(from_milliseconds(expires)) : std::nullopt,
          .stale = stale(now),
          .used = from_milliseconds(used),
          .hits = hits,
          .cost = Milliseconds(cost),
          .tags = unpack_tags(tags)};
}

Result<sqlite::Statement*> Table::ready(sqlite::Statement& statement, std::string_view sql) {
  if (!statement) {
    auto prepared = database_.prepare(sql);
    if (!prepared) return std::unexpected(prepared.error());
    statement = std::move(*prepared);
  }
  return &statement;
}

Result<std::optional<Row>> Table::one(sqlite::Statement& statement, const Reader& read) {
  auto stepped = statement.step();
  if (!stepped) return std::unexpected(stepped.error());
  std::optional<Row> row;
  Result<> result;
  if (*stepped) {
    row = read_row(statement);
    if (read) result = read(*row, statement.blob(kStored));
  }
  statement.reset();
  if (!result) return std::unexpected(result.error());
  return row;
}

Result<std::optional<Row>> Table::find(std::string_view key, const Reader& read) {
  auto statement = ready(find_, "SELECT " SLUICE_ROW ", stored FROM entry WHERE key = ?1");
  if (!statement) return std::unexpected(statement.error());
  (*statement)->bind_blob(1, key);
  return one(**statement, read);
}

Result<std::optional<Row>> Table::find_id(std::int64_t id) {
  auto statement =
      ready(find_id_, "SELECT " SLUICE_ROW ", " SLUICE_FILE " FROM entry WHERE id = ?1");
  if (!statement) return std::unexpected(statement.error());
  (*statement)->bind_int64(1, id);
  return one(**statement, nullptr);
}

Result<> Table::insert(Row& row, std::string_view stored) {
  auto statement =
      ready(insert_, "INSERT INTO entry(" SLUICE_ROW
                     ", stored) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
  if (!statement) return std::unexpected(statement.error());
  bind_row(**statement, row, stored);
  if (auto ran = (*statement)->run(); !ran) return ran;
  row.id = database_.last_insert_rowid();
  return {};
}

Result<> Table::update(const Row& row, std::string_view stored) {
  auto statement = ready(update_,
                         "UPDATE entry SET key = ?2, value_bytes = ?3, created = ?4, expires = ?5, "
                         "used = ?6, hits = ?7, cost = ?8, priority = ?9, form = ?10, "
                         "checksum = ?11, tags = ?12, stored = ?13 WHERE id = ?1");
  if (!statement) return std::unexpected(statement.error());
  bind_row(**statement, row, stored);
  return (*statement)->run();
}

Result<> Table::erase(std::int64_t id) {
  auto statement = ready(erase_, "DELETE FROM entry WHERE id = ?1");
  if (!statement) return std::unexpected(statement.error());
  (*statement)->bind_int64(1, id);
  return (*statement)->run();
}

Result<> Table::add_tags(std::int64_t id, std::string_view packed) {
  for (const std::string& tag : unpack_tags(packed)) {
    auto statement = ready(add_tag_, "INSERT OR IGNORE INTO tag(name, id) VALUES(?1, ?2)");
    if (!statement) return std::unexpected(statement.error());
    (*statement)->bind_blob(1, tag);
    (*statement)->bind_int64(2, id);
    if (auto ran = (*statement)->run(); !ran) return ran;
  }
  return {};
}

Result<> Table::remove_tags(std::int64_t id, std::string_view packed) {
  for (const std::string& tag : unpack_tags(packed)) {
    auto statement = ready(remove_tag_, "DELETE FROM tag WHERE name = ?1 AND id = ?2");
    if (!statement) return std::unexpected(statement.error());
    (*statement)->bind_blob(1, tag);
    (*statement)->bind_int64(2, id);
    if (auto ran = (*statement)->run(); !ran) return ran;
  }
  return {};
}

Result<> Table::touch(const Row& row) {
  auto statement =
      ready(touch_, "UPDATE entry SET used = ?2, hits = ?3, priority = ?4 WHERE id = ?1");
  if (!statement) return std::unexpected(statement.error());
  (*statement)->bind_int64(1, row.id);
  (*statement)->bind_int64(2, row.used);
  (*statement)->bind_int64(3, static_cast<std::int64_t>(row.hits));
  (*statement)->bind_double(4, row.priority);
  return (*statement)->run();
}

Result<std::optional<Row>> Table::first_expired(std::int64_t now, std::int64_t but) {
  auto statement =
      ready(first_expired_, "SELECT " SLUICE_ROW ", " SLUICE_FILE
                            " FROM entry WHERE expires IS NOT NULL AND expires <= ?1 AND id <> ?2 "
                            "ORDER BY expires LIMIT 1");
  if (!statement) return std::unexpected(statement.error());
  (*statement)->bind_int64(1, now);
  (*statement)->bind_int64(2, but);
  return one(**statement, nullptr);
}

Result<std::optional<Row>> Table::least(std::int64_t but) {
  // Among equals, ids ascend: who came first goes first.
  auto statement = ready(least_, "SELECT " SLUICE_ROW ", " SLUICE_FILE
                                 " FROM entry INDEXED BY entry_by_priority WHERE id <> ?1 "
                                 "ORDER BY priority, id LIMIT 1");
  if (!statement) return std::unexpected(statement.error());
  (*statement)->bind_int64(1, but);
  return one(**statement, nullptr);
}

Result<> Table::each(const Selector& selector, const std::string* after, std::size_t most,
                     const std::function<bool(const Row&)>& take) {
  std::string sql = "SELECT " SLUICE_ROW ", " SLUICE_FILE " FROM entry WHERE 1";
  const std::string end = end_of(selector.prefix);
  if (selector.tag) sql += " AND id IN (SELECT id FROM tag WHERE name = ?4)";
  if (after != nullptr) sql += " AND key > ?1";
  if (!selector.prefix.empty()) sql += " AND key >= ?2";
  if (!end.empty()) sql += " AND key < ?3";
  sql += " ORDER BY key LIMIT ?5";
  auto rows = database_.prepare(sql);
  if (!rows) return std::unexpected(rows.error());
  if (after != nullptr) rows->bind_blob(1, *after);
  if (!selector.prefix.empty()) rows->bind_blob(2, selector.prefix);
  if (!end.empty()) rows->bind_blob(3, end);
  if (selector.tag) rows->bind_blob(4, *selector.tag);
  rows->bind_int64(5, most == 0 ? -1 : static_cast<std::int64_t>(most));
  for (;;) {
    auto stepped = rows->step();
    if (!stepped) return std::unexpected(stepped.error());
    if (!*stepped || !take(read_row(*rows))) return {};
  }
}

Result<std::set<std::string>> Table::files() {
  auto rows = database_.prepare("SELECT " SLUICE_ROW ", " SLUICE_FILE " FROM entry WHERE form & 2");
  if (!rows) return std::unexpected(rows.error());
  std::set<std::string> names;
  for (;;) {
    const auto stepped = rows->step();
    if (!stepped) return std::unexpected(stepped.error());
    if (!*stepped) return names;
    names.insert(read_row(*rows).file);
  }
}

Result<> Table::clear() {
  return database_.run("DELETE FROM entry; DELETE FROM tag");
}

Result<> Table::scan(std::int64_t from,
                     const std::function<bool(const Row&, std::string_view)>& take) {
  auto rows = database_.prepare("SELECT " SLUICE_ROW
                                ", stored FROM entry NOT INDEXED WHERE id >= ?1 ORDER BY id");
  if (!rows) return std::unexpected(rows.error());
  rows->bind_int64(1, from);
  for (;;) {
    auto stepped = rows->step();
    if (!stepped) return std::unexpected(stepped.error());
    if (!*stepped || !take(read_row(*rows), rows->blob(kStored))) return {};
  }
}

Result<Totals> Table::totals() {
  auto statement = ready(
      totals_, "SELECT entries, bytes, file_bytes, inflation, max_bytes, max_entries FROM state");
  if (!statement) return std::unexpected(statement.error());
  auto stepped = (*statement)->step();
  if (!stepped) return std::unexpected(stepped.error());
  Totals totals;
  if (*stepped) {
    const auto count = [&](int column) {
      return static_cast<std::uint64_t>((*statement)->int64(column));
    };
    totals = {.entries = count(0),
              .bytes = count(1),
              .file_bytes = count(2),
              .inflation = (*statement)->real(3),
              .limits = {.max_bytes = count(4), .max_entries = count(5)}};
  }
  (*statement)->reset();
  if (!*stepped) return fail(ErrorCode::corrupt, Retry::fatal, "the row of its totals is missing.");
  return totals;
}

Result<> Table::set_totals(const Totals& totals) {
  auto statement = ready(set_totals_,
                         "INSERT OR REPLACE INTO state(id, entries, bytes, file_bytes, inflation, "
                         "max_bytes, max_entries) VALUES(1, ?1, ?2, ?3, ?4, ?5, ?6)");
  if (!statement) return std::unexpected(statement.error());
  (*statement)->bind_int64(1, static_cast<std::int64_t>(totals.entries));
  (*statement)->bind_int64(2, static_cast<std::int64_t>(totals.bytes));
  (*statement)->bind_int64(3, static_cast<std::int64_t>(totals.file_bytes));
  (*statement)->bind_double(4, totals.inflation);
  (*statement)->bind_int64(5, static_cast<std::int64_t>(totals.limits.max_bytes));
  (*statement)->bind_int64(6, static_cast<std::int64_t>(totals.limits.max_entries));
  return (*statement)->run();
}

#undef SLUICE_ROW
#undef SLUICE_FILE

}  // namespace sluice::localcache
