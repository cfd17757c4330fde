#include "store/postgres/kv_store.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/utf8.h"
#include "postgres/binary.h"
#include "store/limits.h"
#include "store/postgres/copy_rows.h"
#include "store/postgres/listing.h"

namespace sluice::store::pg {

namespace {

constexpr Capabilities kCapabilities{
    .list_page = 5000,
    .get_keys = 1000,
    .put_entries = 20'000,
    .put_bytes = std::size_t{8} << 20,
    .erase_keys = 20'000,
    // A row of a B-tree index takes at most 2704 bytes (a third of a block), its headers included.
    .key_bytes = 2600,
    // A bytea takes nearly 1 GB; but libpq and the server each have a row in memory several times.
    .value_bytes = std::size_t{256} << 20,
    .metadata_bytes = std::size_t{1} << 20,
    .least_ttl = 0,
    .keys_are_utf8 = false,
    .ordered = true,
    .seekable = true,
    .lists_values = true,
    .exact_get = true,
    .remote = true,
};

// One get answers no more than this, unless it is a single value: libpq has it all in memory.
constexpr std::int64_t kAnswerBytes = std::int64_t{8} << 20;
// So few entries, of so few bytes, are written in one round trip instead of two.
constexpr std::size_t kFewEntries = 16;
constexpr std::size_t kFewBytes = std::size_t{256} << 10;
constexpr int kMostUpserts = 4096;

constexpr std::string_view kUniqueViolation = "23505";
constexpr std::string_view kNotSupported = "0A000";
constexpr std::string_view kUndefinedTable = "42P01";

constexpr std::string_view kOverwrite =
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, metadata = excluded.metadata, "
    "expires_at = excluded.expires_at";

// What PostgreSQL would refuse with the whole batch.
std::optional<Error> refused(const EntryView& entry) {
  const auto error = [&](std::string_view reason) {
    return Error{ErrorCode::invalid_argument, Retry::never, std::nullopt,
                 fmt::format("\"{}\": {}", truncated_to_width(printable(entry.key), 80), reason)};
  };
  if (entry.expiration >= postgres::kEndOfTime) {
    return error("it expires later than PostgreSQL can tell (the year 294276).");
  }
  if (!is_utf8(entry.metadata) || entry.metadata.find('\0') != std::string_view::npos) {
    return error("its metadata is not UTF-8 text, as PostgreSQL's json requires.");
  }
  return std::nullopt;
}

std::size_t bytes_of(std::span<const std::string_view> keys) {
  std::size_t bytes = 0;
  for (const std::string_view key : keys) bytes += key.size();
  return bytes;
}

}  // namespace

// The entries of a put that are written, in key order, each key once.
struct KvStore::Batch {
  std::span<const EntryView> entries;
  std::vector<std::uint32_t> places;
  std::size_t bytes = 0;
};

KvStore::KvStore(std::shared_ptr<Core> core, Namespace which)
    : core_(std::move(core)),
      which_(std::move(which)),
      table_(core_->tables.entries(which_.id)),
      rows_with_values_(kCapabilities.list_page) {}

const Capabilities& KvStore::capabilities() const {
  return kCapabilities;
}

std::string KvStore::doing(std::string_view what) const {
  return fmt::format("{} namespace \"{}\"", what,
                     printable(which_.title.empty() ? which_.id : which_.title));
}

Error KvStore::no_such_namespace() const {
  std::string text;
  if (!table_) {
    text = fmt::format(
        "{} has no namespace with the id \"{}\": its ids are numbers. `sluice kv namespace list` "
        "shows them.",
        core_->client.target().description, printable(which_.id));
  } else if (which_.id == kDefaultNamespace) {
    text = fmt::format("{} has no table {}, which ?table= names. Make it: {}",
                       core_->client.target().description, printable(*table_),
                       printable(Tables::create_entries_sql(*table_)));
  } else {
    text = fmt::format(
        "{} has no namespace with the id \"{}\": there is no table {}. `sluice kv "
        "namespace list` shows the namespaces.",
        core_->client.target().description, printable(which_.id), *table_);
  }
  return Error{ErrorCode::not_found, Retry::fatal, std::nullopt, std::move(text)};
}

Error KvStore::explain(Error error, std::string_view sqlstate) {
  if (sqlstate != kUndefinedTable) return error;
  core_->tables.forget(*table_);
  // It has gone away since it was last looked at. The next try makes it anew, where it may.
  if (core_->tables.made_when_needed(which_.id)) {
    error.code = ErrorCode::unavailable;
    error.retry = Retry::again;
    return error;
  }
  return no_such_namespace();
}

io::Task<Result<bool>> KvStore::ready(postgres::Connection& connection, bool make) {
  auto exists = co_await core_->tables.exists(connection, *table_);
  if (!exists || *exists) co_return exists;
  if (!core_->tables.made_when_needed(which_.id)) co_return std::unexpected(no_such_namespace());
  if (!make) co_return false;
  if (auto made = co_await core_->tables.create(connection, *table_); !made) {
    co_return std::unexpected(std::move(made.error()));
  }
  // It may have been somebody else's table that was there first.
  co_return co_await core_->tables.exists(connection, *table_);
}

io::Task<Result<std::optional<postgres::Rows>>> KvStore::ask(
    postgres::Client::Call about, std::function<std::vector<postgres::Statement>()> statements) {
  using Answer = Result<std::optional<postgres::Rows>>;
  if (!table_) co_return std::unexpected(no_such_namespace());
  auto work = [this, &statements](postgres::Connection& connection) -> io::Task<Answer> {
    auto there = co_await ready(connection, false);
    if (!there) co_return std::unexpected(std::move(there.error()));
    if (!*there) co_return std::optional<postgres::Rows>();
    auto rows = co_await connection.run(statements());
    if (!rows) co_return std::unexpected(explain(std::move(rows.error()), connection.sqlstate()));
    co_return std::optional<postgres::Rows>(std::move(rows->back()));
  };
  co_return co_await core_->client.call(std::move(about), work);
}

io::Task<Result<Page>> KvStore::list(ListRequest request) {
  std::size_t rows = kCapabilities.list_page;
  if (request.limit != 0) rows = std::min(rows, request.limit);
  if (request.values) rows = std::min(rows, rows_with_values_);
  if (!table_) co_return std::unexpected(no_such_namespace());
  auto asked = page_request(*table_, request, rows);
  if (!asked) co_return std::unexpected(std::move(asked.error()));
  auto found =
      co_await ask({.doing = doing("listing the keys of")}, [&asked] { return asked->statements; });
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (!*found) co_return Page{};
  PageAnswer answer = read_page(*asked, **found);
  if (request.values) {
    // The server adds up the sizes of all rows that it is told to look at, so it is told of twice
    // as many as have fit.
    constexpr std::size_t kLeastRows = 50;
    if (answer.cut) {
      rows_with_values_ = std::clamp(2 * answer.looked_at, kLeastRows, kCapabilities.list_page);
    } else if (answer.looked_at >= rows_with_values_) {
      rows_with_values_ = std::min(2 * rows_with_values_, kCapabilities.list_page);
    }
  }
  co_return std::move(answer.page);
}

io::Task<Result<std::vector<std::string>>> KvStore::split(std::string_view prefix,
                                                          std::size_t parts) {
  std::vector<std::string> keys;
  if (!table_) co_return std::unexpected(no_such_namespace());
  if (parts < 2) co_return keys;
  auto found = co_await ask({.doing = doing("sampling the keys of")}, [&] {
    std::vector<postgres::Statement> statements;
    statements.push_back(split_request(*table_, prefix, parts));
    return statements;
  });
  if (!found) co_return std::unexpected(std::move(found.error()));
  for (std::size_t row = 0; *found && row < (*found)->size(); ++row) {
    keys.emplace_back((*found)->bytes(row, 0));
  }
  co_return keys;
}

io::Task<Result<GetAnswer>> KvStore::get(std::span<const std::string_view> keys) {
  return get_either(keys, true);
}

io::Task<Result<GetAnswer>> KvStore::get_metadata(std::span<const std::string_view> keys) {
  return get_either(keys, false);
}

io::Task<Result<GetAnswer>> KvStore::get_either(std::span<const std::string_view> keys,
                                                bool values) {
  if (auto checked = check_get(kCapabilities, keys); !checked) {
    co_return std::unexpected(std::move(checked.error()));
  }
  GetAnswer answer;
  if (keys.empty()) co_return answer;
  auto found = co_await ask(
      {.doing = doing("reading entries of"), .divisible = keys.size() > 1, .bytes = bytes_of(keys)},
      [&] {
        // The server adds up first, and sends no value when they are too many.
        postgres::Statement statement(fmt::format(
            "SELECT key, expires_at, total, CASE WHEN total <= $2 OR matches = 1 THEN "
            "metadata END, "
            "CASE WHEN total <= $2 OR matches = 1 THEN value END FROM (SELECT *, "
            "sum(coalesce(octet_length(value), 0) "
            "+ coalesce(octet_length(metadata::text), 0)) OVER () AS total, count(*) "
            "OVER () AS matches "
            "FROM (SELECT key, expires_at, metadata, {} AS value FROM {} WHERE key = ANY "
            "($1) AND (expires_at "
            "IS NULL OR expires_at > now())) AS matching) AS measured",
            values ? "value" : "NULL::bytea", *table_));
        statement.bytea_array(postgres::bytea_array(keys)).int64(kAnswerBytes);
        std::vector<postgres::Statement> statements;
        statements.push_back(std::move(statement));
        return statements;
      });
  if (!found) co_return std::unexpected(std::move(found.error()));
  enum Column : int { kKey, kExpiry, kTotal, kMetadata, kValue };
  std::unordered_map<std::string_view, std::size_t> row_of;
  const std::size_t rows = *found ? (*found)->size() : 0;
  if (rows > 1 && (*found)->int64(0, kTotal) > kAnswerBytes) {
    co_return fail(ErrorCode::too_large, Retry::smaller,
                   "{} values have {} bytes together, more than the {} that one call returns. Ask "
                   "for fewer keys at once (--batch-size).",
                   rows, (*found)->int64(0, kTotal), kAnswerBytes);
  }
  for (std::size_t row = 0; row < rows; ++row) row_of.emplace((*found)->bytes(row, kKey), row);
  answer.entries.reserve(keys.size());
  for (const std::string_view key : keys) {
    const auto at = row_of.find(key);
    EntryView entry{.key = key, .presence = Presence::missing};
    if (at != row_of.end()) {
      entry.value = (*found)->bytes(at->second, kValue);
      entry.metadata = (*found)->bytes(at->second, kMetadata);
      if (!(*found)->is_null(at->second, kExpiry)) {
        entry.expiration =
            postgres::from_timestamp((*found)->int64(at->second, kExpiry)).value_or(0);
      }
      entry.presence = values ? Presence::present : Presence::listed;
    }
    answer.entries.append(entry);
  }
  co_return answer;
}

io::Task<Result<WriteAnswer>> KvStore::put(std::span<const EntryView> entries) {
  if (!table_) co_return std::unexpected(no_such_namespace());
  if (auto checked = check_put(kCapabilities, entries); !checked) {
    co_return std::unexpected(std::move(checked.error()));
  }
  WriteAnswer answer;
  Batch batch{.entries = entries, .places = {}};
  batch.places = writable_in_key_order(kCapabilities, entries, unix_now(), answer.failed);
  std::erase_if(batch.places, [&](std::uint32_t place) {
    auto error = refused(entries[place]);
    if (error) answer.failed.push_back({place, std::move(*error)});
    return error.has_value();
  });
  if (batch.places.empty()) co_return answer;
  for (const std::uint32_t place : batch.places) {
    const EntryView& entry = entries[place];
    batch.bytes += entry.key.size() + entry.value.size() + entry.metadata.size();
  }
  auto work = [this, &batch](postgres::Connection& connection) -> io::Task<Result<>> {
    auto there = co_await ready(connection, true);
    if (!there) co_return std::unexpected(std::move(there.error()));
    auto written = co_await write(connection, batch);
    if (!written) {
      co_return std::unexpected(explain(std::move(written.error()), connection.sqlstate()));
    }
    co_return written;
  };
  auto written = co_await core_->client.call(
      {.doing = doing("writing to"), .divisible = batch.places.size() > 1, .bytes = batch.bytes},
      work);
  if (!written) co_return std::unexpected(std::move(written.error()));
  co_return answer;
}

io::Task<Result<>> KvStore::write(postgres::Connection& connection, const Batch& batch) {
  if (batch.places.size() <= kFewEntries && batch.bytes <= kFewBytes) {
    co_return co_await write_few(connection, batch);
  }
  Tables::Writing& writing = core_->tables.writing(*table_);
  if (writing.upserts_left == 0) {
    auto written = co_await write_new(connection, batch);
    // The rights on single rows (row-level security) forbid COPY, too.
    const bool upsert =
        connection.sqlstate() == kUniqueViolation || connection.sqlstate() == kNotSupported;
    if (written || !upsert) co_return written;
    // The rows that a failed COPY leaves behind are dead, and vacuum has to clear them away. Those
    // that were under way at the same time and fail, too, count once.
    if (writing.upserts_left == 0) {
      writing.upserts_left = writing.upserts_next;
      writing.upserts_next = std::min(2 * writing.upserts_next, kMostUpserts);
    }
  }
  if (writing.upserts_left > 0) --writing.upserts_left;
  co_return co_await write_over(connection, batch);
}

io::Task<Result<>> KvStore::write_few(postgres::Connection& connection, const Batch& batch) {
  std::vector<postgres::Statement> statements;
  for (const std::uint32_t place : batch.places) {
    const EntryView& entry = batch.entries[place];
    postgres::Statement statement(
        fmt::format("INSERT INTO {} (key, value, metadata, expires_at) VALUES ($1, $2, $3, $4) {}",
                    *table_, kOverwrite));
    statement.bytes(std::string(entry.key)).bytes(std::string(entry.value));
    if (entry.metadata.empty()) {
      statement.null(postgres::oid::json);
    } else {
      statement.json(std::string(entry.metadata));
    }
    if (entry.expiration == 0) {
      statement.null(postgres::oid::timestamptz);
    } else {
      statement.timestamp(postgres::to_timestamp(entry.expiration));
    }
    statements.push_back(std::move(statement));
  }
  auto written = co_await connection.run(std::move(statements));
  if (!written) co_return std::unexpected(std::move(written.error()));
  co_return Result<>{};
}

io::Task<Result<>> KvStore::write_new(postgres::Connection& connection, const Batch& batch) {
  CopyRows rows(batch.entries, batch.places);
  co_return co_await connection.copy_in(
      fmt::format("COPY {} ({}) FROM STDIN WITH (FORMAT binary)", *table_, kCopyColumns),
      [&rows] { return rows.next(); });
}

io::Task<Result<>> KvStore::write_over(postgres::Connection& connection, const Batch& batch) {
  CopyRows rows(batch.entries, batch.places);
  // One message of several statements is one transaction. The temporary table is the connection's
  // own; in the order of its rows, which is that of the keys, two writers cannot wait for each
  // other.
  co_return co_await connection.copy_in(
      fmt::format(
          "CREATE TEMPORARY TABLE IF NOT EXISTS sluice_incoming (key bytea, value bytea, metadata "
          "json, expires_at timestamptz) ON COMMIT DELETE ROWS; "
          "COPY pg_temp.sluice_incoming ({}) FROM STDIN WITH (FORMAT binary); "
          "INSERT INTO {} ({}) SELECT {} FROM pg_temp.sluice_incoming {}",
          kCopyColumns, *table_, kCopyColumns, kCopyColumns, kOverwrite),
      [&rows] { return rows.next(); });
}

io::Task<Result<WriteAnswer>> KvStore::erase(std::span<const std::string_view> keys) {
  if (auto checked = check_erase(kCapabilities, keys); !checked) {
    co_return std::unexpected(std::move(checked.error()));
  }
  if (keys.empty()) co_return WriteAnswer{};
  auto erased = co_await ask(
      {.doing = doing("erasing keys of"), .divisible = keys.size() > 1, .bytes = bytes_of(keys)},
      [&] {
        postgres::Statement statement(fmt::format("DELETE FROM {} WHERE key = ANY ($1)", *table_));
        statement.bytea_array(postgres::bytea_array(keys));
        std::vector<postgres::Statement> statements;
        statements.push_back(std::move(statement));
        return statements;
      });
  if (!erased) co_return std::unexpected(std::move(erased.error()));
  co_return WriteAnswer{};
}

}  // namespace sluice::store::pg
