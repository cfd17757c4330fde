#include "store/postgres/backend.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/utf8.h"

namespace sluice::store::pg {

namespace {

constexpr std::size_t kLongestTitle = 512;
constexpr std::size_t kTitlesOfAPage = 5000;
constexpr std::string_view kUniqueViolation = "23505";
constexpr std::string_view kUndefinedTable = "42P01";

std::string shown(std::string_view text) {
  return truncated_to_width(printable(text), 80);
}

Result<> check_title(std::string_view title) {
  if (title.empty() || title.size() > kLongestTitle || !is_utf8(title) ||
      title.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::invalid_argument,
                "\"{}\" cannot be the title of a namespace: it has to be UTF-8 of 1 to {} bytes.",
                shown(title), kLongestTitle);
  }
  return {};
}

// 0: not the id of a namespace with a title.
std::int64_t number_of(std::string_view id) {
  std::int64_t number = 0;
  const char* end = id.data() + id.size();
  const auto parsed = std::from_chars(id.data(), end, number);
  return parsed.ec == std::errc{} && parsed.ptr == end ? number : 0;
}

Result<> refuse_default(std::string_view what) {
  return fail(ErrorCode::invalid_argument,
              "the namespace \"default\" exists in every store and cannot be {}.", what);
}

}  // namespace

std::string PostgresBackend::description() const {
  return core_->client.target().description;
}

Error PostgresBackend::taken(std::string_view title) const {
  return Error{ErrorCode::conflict, Retry::never, std::nullopt,
               fmt::format("{} has a namespace \"{}\" already. Choose another title.",
                           description(), shown(title))};
}

Error PostgresBackend::absent(std::string_view name) const {
  return Error{ErrorCode::not_found, Retry::never, std::nullopt,
               fmt::format("{} has no namespace \"{}\"; `sluice kv namespace list` shows them.",
                           description(), shown(name))};
}

io::Task<Result<std::optional<postgres::Rows>>> PostgresBackend::ask(
    postgres::Client::Call about, postgres::Statement statement) {
  using Answer = Result<std::optional<postgres::Rows>>;
  auto work = [&statement](postgres::Connection& connection) -> io::Task<Answer> {
    auto rows = co_await connection.run_one(statement);
    if (rows) co_return std::optional<postgres::Rows>(std::move(*rows));
    if (connection.sqlstate() == kUndefinedTable) co_return std::optional<postgres::Rows>();
    co_return std::unexpected(std::move(rows.error()));
  };
  co_return co_await core_->client.call(std::move(about), work);
}

io::Task<Result<std::vector<Namespace>>> PostgresBackend::namespaces() {
  std::vector<Namespace> all;
  all.push_back({std::string(kDefaultNamespace), std::string(kDefaultNamespace)});
  for (std::string after;;) {
    postgres::Statement statement(
        fmt::format("SELECT id::text, title FROM {} WHERE title > $1 COLLATE \"C\" ORDER BY title "
                    "COLLATE \"C\" LIMIT {}",
                    core_->tables.registry(), kTitlesOfAPage));
    statement.text(after);
    auto rows = co_await ask({.doing = "listing the namespaces"}, std::move(statement));
    if (!rows) co_return std::unexpected(std::move(rows.error()));
    const std::size_t count = *rows ? (*rows)->size() : 0;
    for (std::size_t row = 0; row < count; ++row) {
      all.push_back({std::string((*rows)->bytes(row, 0)), std::string((*rows)->bytes(row, 1))});
    }
    if (count < kTitlesOfAPage) break;
    after = all.back().title;
  }
  std::ranges::sort(all, {}, &Namespace::title);
  co_return all;
}

io::Task<Result<Namespace>> PostgresBackend::find_namespace(std::string_view name) {
  if (name == kDefaultNamespace) co_return Namespace{std::string(name), std::string(name)};
  if (!check_title(name)) co_return std::unexpected(absent(name));
  postgres::Statement statement(
      fmt::format("SELECT id::text, title FROM {} WHERE title = $1 OR id::text = $1 ORDER BY title "
                  "= $1 DESC LIMIT 1",
                  core_->tables.registry()));
  statement.text(std::string(name));
  auto rows = co_await ask({.doing = fmt::format("looking for the namespace \"{}\"", shown(name))},
                           std::move(statement));
  if (!rows) co_return std::unexpected(std::move(rows.error()));
  if (!*rows || (*rows)->size() == 0) co_return std::unexpected(absent(name));
  co_return Namespace{std::string((*rows)->bytes(0, 0)), std::string((*rows)->bytes(0, 1))};
}

io::Task<Result<Namespace>> PostgresBackend::create_namespace(std::string_view title) {
  if (auto checked = check_title(title); !checked) co_return std::unexpected(checked.error());
  if (title == kDefaultNamespace) co_return std::unexpected(taken(title));
  auto work = [this, title](postgres::Connection& connection) -> io::Task<Result<Namespace>> {
    if (auto made = co_await core_->tables.create_registry(connection); !made) {
      co_return std::unexpected(std::move(made.error()));
    }
    std::vector<postgres::Statement> statements;
    statements.emplace_back("BEGIN");
    statements.push_back(Tables::lock_statement());
    statements.emplace_back(fmt::format("INSERT INTO {} (title) VALUES ($1) RETURNING id::text",
                                        core_->tables.registry()));
    statements.back().text(std::string(title));
    auto inserted = co_await connection.run(std::move(statements));
    if (!inserted) {
      if (connection.sqlstate() == kUniqueViolation) co_return std::unexpected(taken(title));
      co_return std::unexpected(std::move(inserted.error()));
    }
    Namespace made{std::string(inserted->back().bytes(0, 0)), std::string(title)};
    const auto table = core_->tables.entries(made.id);
    std::vector<postgres::Statement> rest;
    rest.emplace_back(Tables::create_entries_sql(table.value()));
    rest.emplace_back("COMMIT");
    auto done = co_await connection.run(std::move(rest));
    if (!done) co_return std::unexpected(std::move(done.error()));
    co_return made;
  };
  co_return co_await core_->client.call(
      {.doing = fmt::format("creating the namespace \"{}\"", shown(title)), .idempotent = false},
      work);
}

io::Task<Result<>> PostgresBackend::rename_namespace(const Namespace& which,
                                                     std::string_view title) {
  if (auto checked = check_title(title); !checked) co_return checked;
  if (which.id == kDefaultNamespace) co_return refuse_default("renamed");
  if (title == kDefaultNamespace) co_return std::unexpected(taken(title));
  auto work = [&](postgres::Connection& connection) -> io::Task<Result<>> {
    postgres::Statement statement(
        fmt::format("UPDATE {} SET title = $1 WHERE id = $2", core_->tables.registry()));
    statement.text(std::string(title)).int64(number_of(which.id));
    auto rows = co_await connection.run_one(std::move(statement));
    if (!rows && connection.sqlstate() == kUniqueViolation) co_return std::unexpected(taken(title));
    const bool none = rows ? rows->affected() == 0 : connection.sqlstate() == kUndefinedTable;
    if (none) co_return std::unexpected(absent(which.id));
    if (!rows) co_return std::unexpected(std::move(rows.error()));
    co_return Result<>{};
  };
  co_return co_await core_->client.call(
      {.doing = fmt::format("renaming the namespace \"{}\" to \"{}\"", shown(which.title),
                            shown(title))},
      work);
}

io::Task<Result<>> PostgresBackend::delete_namespace(const Namespace& which) {
  if (which.id == kDefaultNamespace) co_return refuse_default("deleted");
  const auto table = core_->tables.entries(which.id);
  if (!table) co_return std::unexpected(absent(which.id));
  int tries = 0;
  auto work = [&](postgres::Connection& connection) -> io::Task<Result<>> {
    ++tries;
    std::vector<postgres::Statement> statements;
    statements.emplace_back("BEGIN");
    statements.emplace_back(fmt::format("DELETE FROM {} WHERE id = $1", core_->tables.registry()));
    statements.back().int64(number_of(which.id));
    auto rows = co_await connection.run(std::move(statements));
    core_->tables.forget(*table);
    // A table that is in no list of ours is not ours to drop. What was begun ends with the
    // connection, which is given up.
    const bool none =
        rows ? rows->back().affected() == 0 : connection.sqlstate() == kUndefinedTable;
    // Gone at a second try: the first one, whose answer was lost, has deleted it.
    if (none && tries > 1) co_return Result<>{};
    if (none) co_return std::unexpected(absent(which.id));
    if (!rows) co_return std::unexpected(std::move(rows.error()));
    std::vector<postgres::Statement> rest;
    rest.emplace_back(fmt::format("DROP TABLE IF EXISTS {}", *table));
    rest.emplace_back("COMMIT");
    auto dropped = co_await connection.run(std::move(rest));
    if (!dropped) co_return std::unexpected(std::move(dropped.error()));
    co_return Result<>{};
  };
  co_return co_await core_->client.call(
      {.doing = fmt::format("deleting the namespace \"{}\"", shown(which.title))}, work);
}

std::unique_ptr<Store> PostgresBackend::open(const Namespace& which) {
  return std::make_unique<KvStore>(core_, which);
}

}  // namespace sluice::store::pg
