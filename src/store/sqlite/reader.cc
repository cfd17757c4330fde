#include "store/sqlite/reader.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/text_distance.h"
#include "base/utf8.h"
#include "store/limits.h"
#include "store/sqlite/schema.h"

namespace sluice::store {

namespace {

// Statements are kept for so many namespaces; a program that uses more prepares them anew.
constexpr std::size_t kMostTables = 16;

}  // namespace

Error no_such_namespace(std::int64_t namespace_id, const std::string& path) {
  return Error{
      ErrorCode::not_found, Retry::fatal, std::nullopt,
      fmt::format("{} has no namespace with the id {}. `sluice kv namespace list` shows the ones "
                  "that it has.",
                  path, namespace_id)};
}

Result<SqliteReader> SqliteReader::open(const std::string& path, const Capabilities& capabilities,
                                        std::shared_ptr<const std::atomic<bool>> give_up) {
  // Not read-only: reading needs to write the log's index (-shm) when no other process has it open.
  auto database = sqlite::Database::open(
      path,
      {.access = sqlite::Access::read_write, .give_up = std::move(give_up), .cache_kib = 6 * 1024});
  if (!database) return std::unexpected(std::move(database.error()));
  if (auto set = database->run("PRAGMA query_only=1"); !set) return std::unexpected(set.error());
  return SqliteReader(std::move(*database), capabilities);
}

Result<SqliteReader::Table*> SqliteReader::table(std::int64_t namespace_id) {
  if (auto found = tables_.find(namespace_id); found != tables_.end()) return &found->second;
  auto get = database_->prepare(fmt::format(
      "SELECT metadata, expires_at, value FROM {} WHERE key=?1", entries_table(namespace_id)));
  if (!get) return std::unexpected(std::move(get.error()));
  if (tables_.size() >= kMostTables) tables_.clear();
  Table& table = tables_[namespace_id];
  table.get = std::move(*get);
  table.listing = std::make_unique<Listing>(*database_, namespace_id);
  return &table;
}

Error SqliteReader::explain(Error error, std::int64_t namespace_id) {
  if (error.code != ErrorCode::io) return error;
  auto exists = database_->number(
      fmt::format("SELECT count(*) FROM namespaces WHERE id={}", namespace_id), 0);
  if (!exists || *exists != 0) return error;
  tables_.erase(namespace_id);
  return no_such_namespace(namespace_id, database_->path());
}

Result<Page> SqliteReader::list(std::int64_t namespace_id, const ListRequest& request) {
  auto found = table(namespace_id);
  if (!found) return std::unexpected(explain(std::move(found.error()), namespace_id));
  const std::size_t limit = request.limit == 0 ? capabilities_->list_page
                                               : std::min(request.limit, capabilities_->list_page);
  auto page = (*found)->listing->page(request, limit, unix_now());
  if (!page) return std::unexpected(explain(std::move(page.error()), namespace_id));
  return page;
}

Result<std::vector<std::string>> SqliteReader::split(std::int64_t namespace_id,
                                                     std::string_view prefix, std::size_t parts) {
  auto found = table(namespace_id);
  if (!found) return std::unexpected(explain(std::move(found.error()), namespace_id));
  auto keys = (*found)->listing->split(prefix, parts);
  if (!keys) return std::unexpected(explain(std::move(keys.error()), namespace_id));
  return keys;
}

Result<GetAnswer> SqliteReader::get(std::int64_t namespace_id,
                                    std::span<const std::string_view> keys, bool values) {
  if (auto checked = check_get(*capabilities_, keys); !checked)
    return std::unexpected(checked.error());
  auto found = table(namespace_id);
  if (!found) return std::unexpected(explain(std::move(found.error()), namespace_id));
  // A single statement sees the state of one moment anyway.
  std::optional<sqlite::Snapshot> snapshot;
  if (keys.size() > 1) {
    auto begun = sqlite::Snapshot::begin(*database_);
    if (!begun) return std::unexpected(std::move(begun.error()));
    snapshot.emplace(std::move(*begun));
  }
  auto answer = get_from(**found, keys, values);
  (*found)->get.reset();
  if (!answer) return std::unexpected(explain(std::move(answer.error()), namespace_id));
  return answer;
}

Result<GetAnswer> SqliteReader::get_from(Table& table, std::span<const std::string_view> keys,
                                         bool values) {
  const std::int64_t now = unix_now();
  GetAnswer answer;
  Block& block = answer.entries;
  block.reserve(keys.size());
  for (const std::string_view key : keys) {
    EntryView entry;
    entry.key = block.copy(key);
    entry.presence = Presence::missing;
    table.get.bind_text(1, key);
    auto row = table.get.step();
    if (!row) return std::unexpected(std::move(row.error()));
    const std::int64_t expiration = *row ? table.get.int64(1) : 0;
    if (*row && (expiration == 0 || expiration > now)) {
      const std::string_view value = values ? table.get.blob(2) : std::string_view();
      if (keys.size() > 1 && block.bytes() + value.size() > kMostAnswerBytes) {
        return fail(ErrorCode::too_large, Retry::smaller,
                    "the values of {} keys are more than {} bytes. Ask for fewer keys at once.",
                    keys.size(), kMostAnswerBytes);
      }
      entry.presence = values ? Presence::present : Presence::listed;
      entry.metadata = block.copy(table.get.text(0));
      entry.expiration = expiration;
      entry.value = block.copy(value);
    }
    table.get.reset();
    block.append_in_place(entry);
  }
  return answer;
}

Result<std::vector<Namespace>> SqliteReader::namespaces() {
  auto select = database_->prepare("SELECT id, title FROM namespaces ORDER BY title");
  if (!select) return std::unexpected(std::move(select.error()));
  std::vector<Namespace> all;
  for (;;) {
    auto row = select->step();
    if (!row) return std::unexpected(std::move(row.error()));
    if (!*row) return all;
    all.push_back({std::to_string(select->int64(0)), std::string(select->text(1))});
  }
}

Result<Namespace> SqliteReader::find_namespace(std::string_view name) {
  for (const std::string_view column : {"title", "id"}) {
    auto select =
        database_->prepare(fmt::format("SELECT id, title FROM namespaces WHERE {}=?1", column));
    if (!select) return std::unexpected(std::move(select.error()));
    // As text, which SQLite compares with an id as a number: "07" then finds 7, but is not its id.
    select->bind_text(1, name);
    auto row = select->step();
    if (!row) return std::unexpected(std::move(row.error()));
    if (!*row) continue;
    Namespace found{std::to_string(select->int64(0)), std::string(select->text(1))};
    if (column == "title" || found.id == name) return found;
  }
  auto all = namespaces();
  if (!all) return std::unexpected(std::move(all.error()));
  std::vector<std::string_view> titles;
  for (const Namespace& each : *all) titles.push_back(each.title);
  return fail(ErrorCode::not_found,
              "{} has no namespace \"{}\".{} `sluice kv namespace create` makes one.",
              database_->path(), printable(name), did_you_mean(name, titles));
}

}  // namespace sluice::store
