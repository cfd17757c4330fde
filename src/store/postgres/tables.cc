#include "store/postgres/tables.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "base/utf8.h"

namespace sluice::store::pg {

namespace {

// NAMEDATALEN - 1: longer names are cut by the server, and might become another's.
constexpr std::size_t kLongestName = 63;
// Whoever makes tables holds this lock; CREATE … IF NOT EXISTS alone fails when two do it at once.
// "sluicekv" as a number.
constexpr std::int64_t kTablesLock = 0x736c'7569'6365'6b76;
constexpr std::string_view kColumns =
    "expires_at timestamp with time zone, key bytea, metadata json, value bytea";

Result<std::string> checked_name(std::string_view name, std::string_view parameter) {
  if (name.empty() || name.size() > kLongestName || !is_utf8(name) ||
      name.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::invalid_argument,
                "?{}={} of the postgres: URL is no name that PostgreSQL can have: 1 to {} bytes of "
                "UTF-8.",
                parameter, truncated_to_width(printable(name), 80), kLongestName);
  }
  return std::string(name);
}

}  // namespace

std::string quoted_identifier(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

Result<Tables> Tables::named(std::optional<std::string_view> schema,
                             std::optional<std::string_view> table) {
  Tables tables;
  if (schema) {
    auto checked = checked_name(*schema, "schema");
    if (!checked) return std::unexpected(std::move(checked.error()));
    tables.schema_ = std::move(*checked);
  }
  if (table) {
    auto checked = checked_name(*table, "table");
    if (!checked) return std::unexpected(std::move(checked.error()));
    tables.default_table_ = std::move(*checked);
    tables.named_by_url_ = true;
  }
  return tables;
}

std::string Tables::in_schema(std::string_view name) const {
  if (!schema_) return quoted_identifier(name);
  return quoted_identifier(*schema_) + "." + quoted_identifier(name);
}

std::optional<std::string> Tables::entries(std::string_view namespace_id) const {
  if (namespace_id == kDefaultNamespace) return in_schema(default_table_);
  std::int64_t id = 0;
  const char* end = namespace_id.data() + namespace_id.size();
  const auto parsed = std::from_chars(namespace_id.data(), end, id);
  if (parsed.ec != std::errc{} || parsed.ptr != end || id < 1) return std::nullopt;
  return in_schema(fmt::format("sluice_kv_{}", id));
}

std::string Tables::create_entries_sql(const std::string& table) {
  return fmt::format(
      "CREATE TABLE IF NOT EXISTS {} (key bytea PRIMARY KEY, value bytea NOT NULL, metadata json, "
      "expires_at timestamptz)",
      table);
}

postgres::Statement Tables::lock_statement() {
  postgres::Statement lock("SELECT pg_advisory_xact_lock($1)");
  lock.int64(kTablesLock);
  return lock;
}

io::Task<Result<>> Tables::check_schema(postgres::Connection& connection) {
  if (!schema_) co_return Result<>{};
  postgres::Statement statement("SELECT $1::text::regnamespace");  // the server's error says it all
  statement.text(quoted_identifier(*schema_));
  auto found = co_await connection.run_one(std::move(statement));
  if (!found) co_return std::unexpected(std::move(found.error()));
  co_return Result<>{};
}

io::Task<Result<bool>> Tables::exists(postgres::Connection& connection, std::string table) {
  if (found_.contains(table)) co_return true;
  std::string columns;
  bool unique_key = false;
  // Looked at twice before it is refused: to_regclass sees a table that was made after the
  // statement had begun, and whose columns the statement does not see yet.
  for (int look = 1; look <= 2; ++look) {
    // The key has to be unique at once, or writing it twice would not be noticed.
    postgres::Statement statement(
        "SELECT to_regclass($1) IS NOT NULL, "
        "(SELECT string_agg(attname || ' ' || format_type(atttypid, NULL), ', ' ORDER BY attname) "
        "FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped "
        "AND attname IN ('key', 'value', 'metadata', 'expires_at')), "
        "EXISTS (SELECT 1 FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = "
        "indkey[0] WHERE indrelid = to_regclass($1) AND attname = 'key' AND indnkeyatts = 1 AND "
        "indisunique AND indimmediate AND indisvalid AND indpred IS NULL)");
    statement.text(table);
    auto rows = co_await connection.run_one(std::move(statement));
    if (!rows) co_return std::unexpected(std::move(rows.error()));
    if (rows->size() != 1 || !rows->boolean(0, 0)) {
      if (auto there = co_await check_schema(connection); !there) {
        co_return std::unexpected(std::move(there.error()));
      }
      co_return false;
    }
    columns = rows->bytes(0, 1);
    unique_key = rows->boolean(0, 2);
    if (columns == kColumns && unique_key) {
      found_[table] = true;
      co_return true;
    }
  }
  co_return fail(ErrorCode::invalid_argument, Retry::fatal,
                 "the table {} is no table of entries: it has the columns {}{}, and needs {}, "
                 "with key as its primary key. Name another one with ?table=.",
                 printable(table), columns.empty() ? "(none of these)" : printable(columns),
                 unique_key ? "" : " without a unique key", kColumns);
}

io::Task<Result<>> Tables::create(postgres::Connection& connection, std::string table) {
  std::vector<postgres::Statement> statements;
  statements.push_back(lock_statement());
  statements.emplace_back(create_entries_sql(table));
  auto made = co_await connection.run(std::move(statements));
  if (!made) co_return std::unexpected(std::move(made.error()));
  co_return Result<>{};
}

io::Task<Result<>> Tables::create_registry(postgres::Connection& connection) {
  std::vector<postgres::Statement> statements;
  statements.push_back(lock_statement());
  statements.emplace_back(
      fmt::format("CREATE TABLE IF NOT EXISTS {} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY "
                  "KEY, title text NOT NULL UNIQUE)",
                  registry()));
  auto made = co_await connection.run(std::move(statements));
  if (!made) co_return std::unexpected(std::move(made.error()));
  co_return Result<>{};
}

}  // namespace sluice::store::pg
