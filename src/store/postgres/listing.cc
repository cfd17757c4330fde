#include "store/postgres/listing.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "postgres/binary.h"
#include "store/limits.h"

namespace sluice::store::pg {

namespace {

enum Column : int { kKey, kMetadata, kExpiry, kExpired, kValue };

// Blocks that a split reads, of 8 KiB each: as many as a page of entries of some size.
constexpr int kSampledBlocks = 400;
constexpr std::size_t kMostParts = 1000;

// Collects conditions on the key with their parameters.
class Range {
 public:
  explicit Range(postgres::Statement& statement) : statement_(statement) {}
  void add(std::string_view comparison, std::string_view key) {
    statement_.bytes(std::string(key));
    sql_ += fmt::format("{}key {} ${}", sql_.empty() ? "" : " AND ", comparison,
                        statement_.parameters.size());
  }
  [[nodiscard]] const std::string& sql() const { return sql_; }

 private:
  postgres::Statement& statement_;
  std::string sql_;
};

}  // namespace

Result<PageRequest> page_request(const std::string& table, const ListRequest& request,
                                 std::size_t rows) {
  std::string after(request.after);
  if (!request.cursor.empty()) {
    auto key = key_of_cursor(request.cursor);
    if (!key) return std::unexpected(std::move(key.error()));
    after = std::move(*key);
  }
  postgres::Statement statement("");
  Range range(statement);
  if (!after.empty() && after >= request.prefix) {
    range.add(">", after);
  } else {
    range.add(">=", request.prefix);
  }
  if (const std::string end = end_of_prefix(request.prefix); !end.empty()) range.add("<", end);
  if (!request.until.empty()) range.add("<=", request.until);

  // How many rows make a page: all `rows`, unless they hold too much; the sum is quick, and the
  // running sum, which takes four times as long as reading the rows, only computed when it has to
  // be.
  statement.int64(static_cast<std::int64_t>(rows));
  const std::string most = fmt::format("${}", statement.parameters.size());
  statement.int64(static_cast<std::int64_t>(kPageBytes));
  const std::string bytes = fmt::format("${}", statement.parameters.size());
  const std::string looked_at =
      fmt::format("(SELECT key, metadata{} FROM {} WHERE {} ORDER BY key LIMIT {}) AS looked_at",
                  request.values ? ", value" : "", table, range.sql(), most);
  const std::string size =
      fmt::format("octet_length(key) + coalesce(octet_length(metadata::text), 0){}",
                  request.values ? " + coalesce(octet_length(value), 0)" : "");
  statement.sql = fmt::format(
      "SELECT key, metadata, expires_at, expires_at <= now(){} FROM {} WHERE {} ORDER BY key LIMIT "
      "(SELECT CASE WHEN (SELECT sum({}) FROM {}) < {} THEN {} ELSE 1 + (SELECT count(*) FROM "
      "(SELECT sum({}) OVER (ORDER BY key ROWS UNBOUNDED PRECEDING) AS total FROM {}) AS running "
      "WHERE total < {}) END)",
      request.values ? ", value" : "", table, range.sql(), size, looked_at, bytes, most, size,
      looked_at, bytes);

  PageRequest page{.statements = {}, .rows = rows, .values = request.values};
  // For a table without statistics the planner may choose to sort half of it for every page; and to
  // compile each page's query.
  page.statements.emplace_back(
      "SELECT set_config('enable_sort', 'off', true), set_config('jit', 'off', true)");
  page.statements.push_back(std::move(statement));
  return page;
}

PageAnswer read_page(const PageRequest& request, const postgres::Rows& rows) {
  PageAnswer answer;
  Block& block = answer.page.entries;
  answer.looked_at = rows.size();
  block.reserve(rows.size());
  // In the same bytes as the server counts: with kPageBytes of them the page may have been cut.
  std::size_t bytes = 0;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    EntryView entry;
    entry.key = rows.bytes(row, kKey);
    entry.metadata = rows.bytes(row, kMetadata);
    if (request.values) {
      entry.value = rows.bytes(row, kValue);
      entry.presence = Presence::present;
    }
    bytes += entry.key.size() + entry.metadata.size() + entry.value.size();
    if (rows.boolean(row, kExpired)) continue;
    if (!rows.is_null(row, kExpiry)) {
      entry.expiration = postgres::from_timestamp(rows.int64(row, kExpiry)).value_or(0);
    }
    block.append(entry);
  }
  answer.cut = bytes >= kPageBytes && rows.size() < request.rows;
  if (rows.size() > 0 && (answer.cut || rows.size() >= request.rows)) {
    answer.page.cursor = cursor_of_key(rows.bytes(rows.size() - 1, kKey));
  }
  return answer;
}

postgres::Statement split_request(const std::string& table, std::string_view prefix,
                                  std::size_t parts) {
  postgres::Statement statement("");
  Range range(statement);
  range.add(">=", prefix);
  if (const std::string end = end_of_prefix(prefix); !end.empty()) range.add("<", end);
  statement.int64(static_cast<std::int64_t>(std::min(parts, kMostParts)));
  const std::size_t count = statement.parameters.size();
  statement.text(table);
  statement.int64(kSampledBlocks);
  // Of each part but the first its first key. A partitioned table has no blocks itself.
  const std::string size = fmt::format(
      "greatest(1, coalesce((SELECT sum(pg_relation_size(relid)) FROM "
      "pg_partition_tree(to_regclass(${0}))), pg_relation_size(to_regclass(${0}))))",
      count + 1);
  statement.sql = fmt::format(
      "SELECT key FROM (SELECT DISTINCT ON (part) part, key FROM (SELECT key, ntile(${}::int) OVER "
      "(ORDER BY key) AS part FROM {} TABLESAMPLE SYSTEM (least(100, 100.0 * ${} * "
      "current_setting('block_size')::int / {})) WHERE {}) AS sample ORDER BY part, key) AS first "
      "WHERE part > 1 ORDER BY part",
      count, table, count + 2, size, range.sql());
  return statement;
}

}  // namespace sluice::store::pg
