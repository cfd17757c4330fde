#include "cdn/item_spool.h"

#include <array>
#include <filesystem>
#include <utility>

#include "sqlite/format.h"

namespace sluice::cdn {

namespace {

// "SlPu", of this kind of file only.
constexpr std::uint32_t kApplicationId = 0x536c5075;
constexpr std::array<std::string_view, 1> kMigrations{
    // state: 0 neither, 1 due, 2 refused in this run. pending: notes without an answer.
    "CREATE TABLE items(id INTEGER PRIMARY KEY, zone TEXT NOT NULL, item TEXT NOT NULL,"
    " pending INTEGER NOT NULL, state INTEGER NOT NULL, UNIQUE(zone, item));"
    "CREATE INDEX due ON items(zone, id) WHERE state = 1;"};
constexpr sqlite::Format kFormat{.name = "Sluice list of items to purge",
                                 .application_id = kApplicationId,
                                 .migrations = kMigrations};

constexpr std::int64_t kNotDue = 0;
constexpr std::int64_t kDue = 1;
constexpr std::int64_t kRefused = 2;

Result<std::uint64_t> counted(sqlite::Statement& statement) {
  auto row = statement.step();
  if (!row) return std::unexpected(std::move(row.error()));
  const auto count = static_cast<std::uint64_t>(*row ? statement.int64(0) : 0);
  statement.reset();
  return count;
}

}  // namespace

io::Task<Result<std::unique_ptr<ItemSpool>>> ItemSpool::open(std::string path) {
  std::unique_ptr<ItemSpool> spool(new ItemSpool);
  const auto begin = [&] { return spool->begin(std::move(path)); };
  auto begun = co_await spool->worker_.run(begin);
  if (!begun) co_return std::unexpected(std::move(begun.error()));
  co_return spool;
}

Result<std::uint64_t> ItemSpool::count_left(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return 0;
  auto database = sqlite::Database::open(path, {.access = sqlite::Access::read_only});
  if (!database) return std::unexpected(std::move(database.error()));
  auto left = database->number("SELECT count(*) FROM items WHERE state <> 0 OR pending > 0");
  if (!left) return std::unexpected(std::move(left.error()));
  return static_cast<std::uint64_t>(*left);
}

ItemSpool::~ItemSpool() {
  for (sqlite::Statement* statement :
       {&add_, &copy_, &move_, &note_, &settle_, &due_, &left_, &state_, &count_due_}) {
    *statement = sqlite::Statement();
  }
  database_.reset();
}

Result<> ItemSpool::begin(std::string path) {
  if (path.empty()) {
    auto folder = io::TemporaryFolder::create("purge");
    if (!folder) return std::unexpected(std::move(folder.error()));
    path = folder->path() + "/items";
    temporary_.emplace(std::move(*folder));
  }
  auto database = sqlite::Database::open(path);
  if (!database) return std::unexpected(std::move(database.error()));
  database_.emplace(std::move(*database));
  if (auto adopted = sqlite::adopt(*database_, kFormat); !adopted) return adopted;
  // What is noted must be on disk before an entry is deleted for it; a temporary one survives
  // nothing.
  const std::string_view level = temporary_ ? "OFF" : "FULL";
  if (auto set = database_->run(fmt::format("PRAGMA synchronous={}", level)); !set) return set;
  const std::pair<sqlite::Statement*, std::string_view> statements[] = {
      {&add_,
       "INSERT INTO items(zone, item, pending, state) VALUES(?1, ?2, 0, 1) "
       "ON CONFLICT(zone, item) DO NOTHING"},
      {&copy_,
       "INSERT INTO items(zone, item, pending, state) SELECT ?2, item, pending, state FROM items "
       "WHERE zone = ?1 AND state = 1 ON CONFLICT(zone, item) DO NOTHING"},
      {&move_, "UPDATE items SET zone = ?2 WHERE zone = ?1"},
      {&note_,
       "INSERT INTO items(zone, item, pending, state) VALUES(?1, ?2, 1, 0) "
       "ON CONFLICT(zone, item) DO UPDATE SET pending = pending + 1"},
      {&settle_,
       "UPDATE items SET pending = max(0, pending - ?3), state = max(state, ?4) "
       "WHERE zone = ?1 AND item = ?2"},
      {&due_,
       "SELECT id, item FROM items WHERE id > ?2 AND zone = ?1 AND state = 1 ORDER BY id LIMIT ?3"},
      {&state_, "UPDATE items SET state = ?2 WHERE id = ?1"},
      {&count_due_, "SELECT count(*) FROM items WHERE zone = ?1 AND state = 1"},
      {&left_,
       "SELECT id, item FROM items WHERE id > ?2 AND zone = ?1 AND (state <> 0 OR pending > 0) "
       "ORDER BY id LIMIT ?3"},
  };
  for (const auto& [statement, sql] : statements) {
    auto prepared = database_->prepare(sql);
    if (!prepared) return std::unexpected(std::move(prepared.error()));
    *statement = std::move(*prepared);
  }
  return database_->run("UPDATE items SET state = 1 WHERE state = 2");
}

template <class Work>
Result<> ItemSpool::change(Work work) {
  auto transaction = sqlite::Transaction::begin(*database_);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  if (auto done = work(); !done) return done;
  return transaction->commit();
}

template <class Bind>
Result<> ItemSpool::change_each(sqlite::Statement& statement, std::span<const std::string> zones,
                                std::span<const Noted> items, Bind bind) {
  return change([&]() -> Result<> {
    for (const std::string& zone : zones) {
      for (const Noted& noted : items) {
        statement.bind_text(1, zone);
        statement.bind_text(2, noted.item);
        bind(noted);
        if (auto run = statement.run(); !run) return run;
      }
    }
    return {};
  });
}

io::Task<Result<std::uint64_t>> ItemSpool::add(std::span<const Placed> items) {
  const auto work = [&]() -> Result<std::uint64_t> {
    std::uint64_t added = 0;
    const auto changed = change([&]() -> Result<> {
      for (const Placed& placed : items) {
        add_.bind_text(1, placed.zone);
        add_.bind_text(2, placed.item);
        if (auto run = add_.run(); !run) return run;
        added += static_cast<std::uint64_t>(database_->changes());
      }
      return {};
    });
    if (!changed) return std::unexpected(changed.error());
    return added;
  };
  co_return co_await worker_.run(work);
}

io::Task<Result<>> ItemSpool::run_on_zones(sqlite::Statement& statement, const std::string& from,
                                           const std::string& to) {
  const auto work = [&] {
    statement.bind_text(1, from);
    statement.bind_text(2, to);
    return statement.run();
  };
  co_return co_await worker_.run(work);
}

io::Task<Result<>> ItemSpool::copy(const std::string& from, const std::string& to) {
  return run_on_zones(copy_, from, to);
}

io::Task<Result<>> ItemSpool::move(const std::string& from, const std::string& to) {
  return run_on_zones(move_, from, to);
}

io::Task<Result<>> ItemSpool::note(std::span<const std::string> zones,
                                   std::span<const Noted> items) {
  const auto work = [&] { return change_each(note_, zones, items, [](const Noted&) {}); };
  co_return co_await worker_.run(work);
}

io::Task<Result<>> ItemSpool::settle(std::span<const std::string> zones,
                                     std::span<const Noted> items) {
  const auto bind = [&](const Noted& noted) {
    const bool due = noted.fate == Fate::gone || noted.fate == Fate::gone_in_part;
    const bool told = noted.fate == Fate::gone || noted.fate == Fate::kept;
    settle_.bind_int64(3, told ? 1 : 0);
    settle_.bind_int64(4, due ? kDue : kNotDue);
  };
  const auto work = [&] { return change_each(settle_, zones, items, bind); };
  co_return co_await worker_.run(work);
}

io::Task<Result<std::uint64_t>> ItemSpool::presume() {
  const auto work = [&]() -> Result<std::uint64_t> {
    auto run = database_->run("UPDATE items SET state = 1, pending = 0 WHERE pending > 0");
    if (!run) return std::unexpected(std::move(run.error()));
    return static_cast<std::uint64_t>(database_->changes());
  };
  co_return co_await worker_.run(work);
}

Result<std::vector<ItemSpool::Item>> ItemSpool::read(sqlite::Statement& statement,
                                                     const std::string& zone, std::int64_t after,
                                                     std::size_t most) {
  std::vector<Item> items;
  statement.bind_text(1, zone);
  statement.bind_int64(2, after);
  statement.bind_int64(3, static_cast<std::int64_t>(most));
  for (;;) {
    auto row = statement.step();
    if (!row) return std::unexpected(std::move(row.error()));
    if (!*row) break;
    items.push_back({statement.int64(0), std::string(statement.text(1))});
  }
  statement.reset();
  return items;
}

io::Task<Result<std::vector<ItemSpool::Item>>> ItemSpool::due(const std::string& zone,
                                                              std::int64_t after,
                                                              std::size_t most) {
  const auto work = [&] { return read(due_, zone, after, most); };
  co_return co_await worker_.run(work);
}

io::Task<Result<std::vector<ItemSpool::Item>>> ItemSpool::left(const std::string& zone,
                                                               std::int64_t after,
                                                               std::size_t most) {
  const auto work = [&] { return read(left_, zone, after, most); };
  co_return co_await worker_.run(work);
}

Result<> ItemSpool::set_state(std::span<const std::int64_t> ids, std::int64_t state) {
  return change([&]() -> Result<> {
    for (const std::int64_t id : ids) {
      state_.bind_int64(1, id);
      state_.bind_int64(2, state);
      if (auto run = state_.run(); !run) return run;
    }
    return {};
  });
}

io::Task<Result<>> ItemSpool::purged(std::span<const std::int64_t> ids) {
  const auto work = [&] { return set_state(ids, kNotDue); };
  co_return co_await worker_.run(work);
}

io::Task<Result<>> ItemSpool::refused(std::span<const std::int64_t> ids) {
  const auto work = [&] { return set_state(ids, kRefused); };
  co_return co_await worker_.run(work);
}

io::Task<Result<std::uint64_t>> ItemSpool::count_due(const std::string& zone) {
  const auto work = [&] {
    count_due_.bind_text(1, zone);
    return counted(count_due_);
  };
  co_return co_await worker_.run(work);
}

}  // namespace sluice::cdn
