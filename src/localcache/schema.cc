#include "localcache/schema.h"

#include <array>

namespace sluice::localcache {

namespace {

constexpr std::array<std::string_view, 1> kMigrations = {R"sql(
CREATE TABLE entry(
  id INTEGER PRIMARY KEY,
  key BLOB NOT NULL,
  value_bytes INTEGER NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER,
  used INTEGER NOT NULL,
  hits INTEGER NOT NULL,
  cost INTEGER NOT NULL,
  priority REAL NOT NULL,
  form INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  tags BLOB,
  stored BLOB NOT NULL
);
CREATE UNIQUE INDEX entry_by_key ON entry(key);
CREATE INDEX entry_by_priority ON entry(priority);
CREATE INDEX entry_by_expiry ON entry(expires) WHERE expires IS NOT NULL;
CREATE TABLE tag(name BLOB NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(name, id)) WITHOUT ROWID;
CREATE TABLE state(
  id INTEGER PRIMARY KEY CHECK(id = 1),
  entries INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  file_bytes INTEGER NOT NULL,
  inflation REAL NOT NULL,
  max_bytes INTEGER NOT NULL,
  max_entries INTEGER NOT NULL
);
INSERT INTO state VALUES(1, 0, 0, 0, 0, 0, 0);
)sql"};

}  // namespace

// "SLCA". Pages of 8 KiB: seven values of 1 KB fit in one, with their rows, where 4 KiB would hold
// three and waste a fourth of itself.
const sqlite::Format kCacheFormat{"Sluice cache", 0x534c4341, kMigrations, 8192};

}  // namespace sluice::localcache
