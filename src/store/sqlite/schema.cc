#include "store/sqlite/schema.h"

#include <fmt/format.h>

#include <array>

namespace sluice::store {

namespace {

// Keys are TEXT although any bytes are allowed: SQLite compares TEXT byte by byte (memcmp), by a
// quicker path than BLOB, and `WHERE key = 'x'` works in its shell. The value is the last column,
// so that a listing never reads the pages of a large one. The index on expires_at holds only the
// rows that expire.
constexpr std::array<std::string_view, 1> kMigrations = {R"sql(
CREATE TABLE namespaces(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  title TEXT NOT NULL UNIQUE
);
CREATE TABLE runs(
  namespace INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY(namespace, first)
) WITHOUT ROWID;
INSERT INTO namespaces(id, title) VALUES(1, 'default');
CREATE TABLE entries_1(
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL,
  expires_at INTEGER,
  metadata TEXT,
  value BLOB NOT NULL
);
CREATE UNIQUE INDEX entries_1_key ON entries_1(key);
CREATE INDEX entries_1_expiry ON entries_1(expires_at) WHERE expires_at IS NOT NULL;
)sql"};

}  // namespace

// 16 KiB pages: a fifth faster to scan than 4 KiB, and a batch of sorted keys touches every page of
// the index anyway.
const sqlite::Format kStoreFormat{.name = "Sluice store",
                                  .application_id = 0x534c5549,  // "SLUI"
                                  .migrations = kMigrations,
                                  .page_size = 16384};

std::string entries_table(std::int64_t namespace_id) {
  return fmt::format("entries_{}", namespace_id);
}

std::string create_entries_sql(std::int64_t namespace_id) {
  return fmt::format(
      "CREATE TABLE entries_{0}(id INTEGER PRIMARY KEY, key TEXT NOT NULL, expires_at INTEGER, "
      "metadata TEXT, value BLOB NOT NULL);"
      "CREATE UNIQUE INDEX entries_{0}_key ON entries_{0}(key);"
      "CREATE INDEX entries_{0}_expiry ON entries_{0}(expires_at) WHERE expires_at IS NOT NULL;",
      namespace_id);
}

std::string drop_entries_sql(std::int64_t namespace_id) {
  return fmt::format("DROP TABLE entries_{0}; DELETE FROM runs WHERE namespace={0};", namespace_id);
}

}  // namespace sluice::store
