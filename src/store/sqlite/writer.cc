#include "store/sqlite/writer.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "store/limits.h"
#include "store/sqlite/reader.h"
#include "store/sqlite/schema.h"

namespace sluice::store {

namespace {

constexpr std::size_t kMostTables = 16;
constexpr std::size_t kTitleBytes = 512;  // as Cloudflare's

// The page cache bounds the memory of a large put: with it and two batches of 4 MB (put_bytes), an
// import stays below 40 MB. Larger batches make fewer runs, which listings merge; a larger cache
// gains nothing. The log may grow to 64 MiB before it is copied into the file, so that pages of the
// index which several batches change are copied once.
constexpr int kCacheKib = 2 * 1024;
constexpr std::string_view kPragmas =
    "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4096; PRAGMA journal_size_limit=67108864;";

// Expired rows that a put removes on its way.
constexpr int kSweep = 1000;
// Runs that a put looks at, when it has begun one, for those that are empty.
constexpr int kRunsCleaned = 8;

}  // namespace

Result<SqliteWriter> SqliteWriter::open(const std::string& path, const Capabilities& capabilities,
                                        std::shared_ptr<const std::atomic<bool>> give_up) {
  auto database =
      sqlite::Database::open(path, {.give_up = std::move(give_up), .cache_kib = kCacheKib});
  if (!database) return std::unexpected(std::move(database.error()));
  if (auto ours = sqlite::adopt(*database, kStoreFormat); !ours)
    return std::unexpected(ours.error());
  if (auto set = database->run(std::string(kPragmas)); !set) return std::unexpected(set.error());
  return SqliteWriter(std::move(*database), capabilities);
}

Result<SqliteWriter::Table*> SqliteWriter::table(std::int64_t namespace_id) {
  if (auto found = tables_.find(namespace_id); found != tables_.end()) return &found->second;
  const std::string name = entries_table(namespace_id);
  Table table;
  const auto prepare = [&](sqlite::Statement& statement, const std::string& sql) -> Result<> {
    auto prepared = database_->prepare(sql);
    if (!prepared) return std::unexpected(std::move(prepared.error()));
    statement = std::move(*prepared);
    return {};
  };
  for (const auto& [statement, sql] : {
           std::pair{&table.put,
                     fmt::format("INSERT INTO {}(id, key, expires_at, metadata, value) "
                                 "VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(key) DO UPDATE SET "
                                 "expires_at=excluded.expires_at, "
                                 "metadata=excluded.metadata, value=excluded.value",
                                 name)},
           std::pair{&table.erase, fmt::format("DELETE FROM {} WHERE key=?1", name)},
           std::pair{&table.sweep,
                     fmt::format("DELETE FROM {0} WHERE id IN (SELECT id FROM {0} WHERE "
                                 "expires_at <= ?1 LIMIT {1})",
                                 name, kSweep)},
           std::pair{&table.last_row,
                     fmt::format("SELECT id, key FROM {} ORDER BY id DESC LIMIT 1", name)},
           std::pair{
               &table.clean_runs,
               fmt::format("DELETE FROM runs WHERE namespace={} AND first>?1 AND first<=?2 "
                           "AND NOT EXISTS (SELECT 1 FROM {} WHERE id BETWEEN first AND last)",
                           namespace_id, name)},
           std::pair{&table.next_runs,
                     fmt::format("SELECT max(first) FROM (SELECT first FROM runs WHERE "
                                 "namespace={} AND first>?1 ORDER BY first LIMIT {})",
                                 namespace_id, kRunsCleaned)},
       }) {
    if (auto prepared = prepare(*statement, sql); !prepared) {
      return std::unexpected(std::move(prepared.error()));
    }
  }
  if (tables_.size() >= kMostTables) tables_.clear();
  return &(tables_[namespace_id] = std::move(table));
}

Result<> SqliteWriter::commit(sqlite::Transaction& transaction) {
  if (auto there = database_->check_in_place(); !there) return there;
  return transaction.commit();
}

Error SqliteWriter::explain(Error error, std::int64_t namespace_id) {
  if (error.code != ErrorCode::io) return error;
  auto exists = database_->number(
      fmt::format("SELECT count(*) FROM namespaces WHERE id={}", namespace_id), 0);
  if (!exists || *exists != 0) return error;
  tables_.erase(namespace_id);
  return no_such_namespace(namespace_id, database_->path());
}

Result<WriteAnswer> SqliteWriter::put(std::int64_t namespace_id,
                                      std::span<const EntryView> entries) {
  if (auto checked = check_put(*capabilities_, entries); !checked) {
    return std::unexpected(std::move(checked.error()));
  }
  const std::int64_t now = unix_now();
  WriteAnswer answer;
  const auto order = writable_in_key_order(*capabilities_, entries, now, answer.failed);
  if (order.empty()) return answer;
  auto transaction = sqlite::Transaction::begin(*database_);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  auto written = put_in_transaction(namespace_id, entries, order, now);
  if (!written) return std::unexpected(explain(std::move(written.error()), namespace_id));
  if (auto done = commit(*transaction); !done) return std::unexpected(std::move(done.error()));
  return answer;
}

Result<> SqliteWriter::put_in_transaction(std::int64_t namespace_id,
                                          std::span<const EntryView> entries,
                                          std::span<const std::uint32_t> order, std::int64_t now) {
  auto found = table(namespace_id);
  if (!found) return std::unexpected(std::move(found.error()));
  Table& table = **found;

  table.sweep.bind_int64(1, now);
  if (auto swept = table.sweep.run(); !swept) return swept;

  // Where the last run ends, and the greatest key in it (see schema.h).
  auto last_id = database_->number(
      fmt::format("SELECT last FROM runs WHERE namespace={} ORDER BY first DESC LIMIT 1",
                  namespace_id),
      0);
  if (!last_id) return std::unexpected(std::move(last_id.error()));
  auto has_rows = table.last_row.step();
  if (!has_rows) return std::unexpected(std::move(has_rows.error()));
  const std::string last_key(*has_rows ? table.last_row.text(1) : std::string_view{});
  const std::int64_t last_row_id = *has_rows ? table.last_row.int64(0) : 0;
  table.last_row.reset();
  if (last_row_id > *last_id) {
    // Somebody added rows with the sqlite3 shell. Each becomes a run, so that listings have it too.
    auto added =
        database_->run(fmt::format("INSERT INTO runs SELECT {}, id, id FROM {} WHERE id > {}",
                                   namespace_id, entries_table(namespace_id), *last_id));
    if (!added) return added;
    *last_id = last_row_id;
  }
  if (!*has_rows) {
    // The ids go on where they ended: a reader may remember how far it was in an old run.
    auto removed = database_->run(fmt::format("DELETE FROM runs WHERE namespace={}", namespace_id));
    if (!removed) return removed;
  }

  Inserted inserted{.first = *last_id + 1, .next = *last_id + 1, .first_key = {}};
  database_->forget_last_insert_rowid();
  for (const std::uint32_t place : order) {
    const EntryView& entry = entries[place];
    table.put.bind_int64(1, inserted.next);
    table.put.bind_text(2, entry.key);
    if (entry.expiration != 0) {
      table.put.bind_int64(3, entry.expiration);
    } else {
      table.put.bind_null(3);
    }
    if (!entry.metadata.empty()) {
      table.put.bind_text(4, entry.metadata);
    } else {
      table.put.bind_null(4);
    }
    table.put.bind_blob(5, entry.value);
    if (auto written = table.put.run(); !written) return written;
    if (database_->last_insert_rowid() == inserted.next) {
      if (inserted.next == inserted.first) inserted.first_key = entry.key;
      ++inserted.next;
    }
  }
  if (inserted.next == inserted.first) return {};
  return record_run(namespace_id, table, inserted, *has_rows && last_key < inserted.first_key);
}

// There may be as many runs as entries, so nothing here looks at all of them.
Result<> SqliteWriter::record_run(std::int64_t namespace_id, Table& table, const Inserted& inserted,
                                  bool extends_last) {
  if (extends_last) {
    return database_->run(
        fmt::format("UPDATE runs SET last={1} WHERE namespace={0} AND first="
                    "(SELECT max(first) FROM runs WHERE namespace={0})",
                    namespace_id, inserted.next - 1));
  }
  if (auto added = database_->run(fmt::format("INSERT INTO runs VALUES({}, {}, {})", namespace_id,
                                              inserted.first, inserted.next - 1));
      !added) {
    return added;
  }
  // Begins anywhere: a program that writes one key and ends should not clean the same runs each
  // time.
  if (table.cleaned_to < 0) table.cleaned_to = inserted.first * 7919 % inserted.next;
  return clean_some_runs(table, inserted.first);
}

Result<> SqliteWriter::clean_some_runs(Table& table, std::int64_t newest) {
  table.next_runs.bind_int64(1, table.cleaned_to);
  auto row = table.next_runs.step();
  if (!row) return std::unexpected(std::move(row.error()));
  const std::int64_t to = table.next_runs.int64(0);
  table.next_runs.reset();
  table.clean_runs.bind_int64(1, table.cleaned_to);
  table.clean_runs.bind_int64(2, to);
  if (auto cleaned = table.clean_runs.run(); !cleaned) return cleaned;
  // At the end it begins again, or it would only ever see the run that was added last.
  table.cleaned_to = to < newest ? to : 0;
  return {};
}

Result<WriteAnswer> SqliteWriter::erase(std::int64_t namespace_id,
                                        std::span<const std::string_view> keys) {
  if (auto checked = check_erase(*capabilities_, keys); !checked) {
    return std::unexpected(std::move(checked.error()));
  }
  auto transaction = sqlite::Transaction::begin(*database_);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  auto erased = erase_in_transaction(namespace_id, keys);
  if (!erased) return std::unexpected(explain(std::move(erased.error()), namespace_id));
  if (auto done = commit(*transaction); !done) return std::unexpected(std::move(done.error()));
  return WriteAnswer{};
}

Result<> SqliteWriter::erase_in_transaction(std::int64_t namespace_id,
                                            std::span<const std::string_view> keys) {
  auto found = table(namespace_id);
  if (!found) return std::unexpected(std::move(found.error()));
  // In the order of the index, so that each of its pages is visited once.
  std::vector<std::string_view> sorted(keys.begin(), keys.end());
  if (!std::ranges::is_sorted(sorted)) std::ranges::sort(sorted);
  for (const std::string_view key : sorted) {
    (*found)->erase.bind_text(1, key);
    if (auto erased = (*found)->erase.run(); !erased) return erased;
  }
  return {};
}

Result<> SqliteWriter::check_title(std::string_view title, std::int64_t own_id) {
  if (title.empty() || title.size() > kTitleBytes || !is_utf8(title)) {
    return fail(ErrorCode::invalid_argument,
                "\"{}\" cannot be the title of a namespace: it has to be UTF-8 of 1 to {} bytes.",
                truncated_to_width(printable(title), 80), kTitleBytes);
  }
  auto taken = database_->prepare("SELECT id FROM namespaces WHERE title=?1");
  if (!taken) return std::unexpected(std::move(taken.error()));
  taken->bind_text(1, title);
  auto row = taken->step();
  if (!row) return std::unexpected(std::move(row.error()));
  if (*row && taken->int64(0) != own_id) {
    return fail(ErrorCode::conflict, "{} has a namespace \"{}\" already. Choose another title.",
                database_->path(), printable(title));
  }
  return {};
}

Result<std::int64_t> SqliteWriter::id_of(const Namespace& which) {
  std::int64_t id = 0;
  const char* end = which.id.data() + which.id.size();
  const auto parsed = std::from_chars(which.id.data(), end, id);
  if (parsed.ec == std::errc{} && parsed.ptr == end) {
    auto exists = database_->number(fmt::format("SELECT count(*) FROM namespaces WHERE id={}", id));
    if (!exists) return std::unexpected(std::move(exists.error()));
    if (*exists != 0) return id;
  }
  return fail(ErrorCode::not_found, "{} has no namespace with the id \"{}\".", database_->path(),
              printable(which.id));
}

Result<Namespace> SqliteWriter::create_namespace(std::string_view title) {
  auto transaction = sqlite::Transaction::begin(*database_);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  if (auto checked = check_title(title, 0); !checked)
    return std::unexpected(std::move(checked.error()));
  auto insert = database_->prepare("INSERT INTO namespaces(title) VALUES(?1)");
  if (!insert) return std::unexpected(std::move(insert.error()));
  insert->bind_text(1, title);
  if (auto inserted = insert->run(); !inserted) return std::unexpected(std::move(inserted.error()));
  const std::int64_t id = database_->last_insert_rowid();
  if (auto created = database_->run(create_entries_sql(id)); !created) {
    return std::unexpected(std::move(created.error()));
  }
  if (auto done = commit(*transaction); !done) return std::unexpected(std::move(done.error()));
  return Namespace{std::to_string(id), std::string(title)};
}

Result<> SqliteWriter::rename_namespace(const Namespace& which, std::string_view title) {
  auto transaction = sqlite::Transaction::begin(*database_);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  auto id = id_of(which);
  if (!id) return std::unexpected(std::move(id.error()));
  if (auto checked = check_title(title, *id); !checked) return checked;
  if (*id == kDefaultNamespaceId) {
    return fail(
        ErrorCode::invalid_argument,
        "the namespace \"default\" exists in every store and cannot be renamed. Create another "
        "one and copy to it.");
  }
  auto update = database_->prepare("UPDATE namespaces SET title=?2 WHERE id=?1");
  if (!update) return std::unexpected(std::move(update.error()));
  update->bind_int64(1, *id);
  update->bind_text(2, title);
  if (auto updated = update->run(); !updated) return updated;
  return commit(*transaction);
}

Result<> SqliteWriter::delete_namespace(const Namespace& which) {
  auto transaction = sqlite::Transaction::begin(*database_);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  auto id = id_of(which);
  if (!id) return std::unexpected(std::move(id.error()));
  if (*id == kDefaultNamespaceId) {
    return fail(ErrorCode::invalid_argument,
                "the namespace \"default\" exists in every store and cannot be deleted. Delete its "
                "entries instead: `sluice kv delete --namespace default --all-keys`.");
  }
  // Statements on a table that goes away must not be left open.
  tables_.erase(*id);
  if (auto dropped = database_->run(
          fmt::format("{} DELETE FROM namespaces WHERE id={};", drop_entries_sql(*id), *id));
      !dropped) {
    return dropped;
  }
  return commit(*transaction);
}

}  // namespace sluice::store
