#include "store/postgres/postgres.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

#include "postgres/binary.h"
#include "postgres/client.h"
#include "postgres/server_test.h"
#include "store/conformance.h"
#include "store/limits.h"

namespace sluice::store {
namespace {

using conformance::Conformance;
using postgres::Server;

// A backend on a URL, with what it needs around it.
class Site {
 public:
  Site(io::Loop& loop, std::string_view url,
       std::chrono::milliseconds timeout = std::chrono::seconds(60))
      : loop_(loop),
        stop_(loop.executor()),
        log_(LogLevel::off),
        environment_{.executor = loop.executor(),
                     .stop = stop_,
                     .log = log_,
                     .setting = [](std::string_view) { return std::string(); },
                     .data_folder = {},
                     .gate = {},
                     .retry = {.attempts = 4,
                               .base = std::chrono::milliseconds(20),
                               .longest = std::chrono::milliseconds(500)},
                     .request_timeout = timeout},
        opened_(open_backend(url, environment_)) {}

  Result<Opened>& opened() { return opened_; }
  io::Stop& stop() { return stop_; }
  Backend& backend() { return *opened_.value().backend; }
  std::unique_ptr<Store> store(std::string_view name = "default") {
    auto found = loop_.run(backend().find_namespace(name));
    if (!found) throw std::runtime_error(found.error().message);
    return backend().open(*found);
  }

 private:
  io::Loop& loop_;
  io::Stop stop_;
  Log log_;
  Environment environment_;
  Result<Opened> opened_;
};

// The server itself, past the store.
class Direct {
 public:
  explicit Direct(io::Loop& loop)
      : loop_(loop),
        stop_(loop.executor()),
        log_(LogLevel::off),
        client_(loop.executor(), stop_, log_, {.target = target(), .gate = {}, .retry = {}}) {}

  Result<postgres::Rows> ask(const std::string& sql) {
    auto work = [&](postgres::Connection& connection) -> io::Task<Result<postgres::Rows>> {
      co_return co_await connection.run_one(postgres::Statement(sql));
    };
    return loop_.run(client_.call({.doing = "testing"}, work));
  }
  void run(const std::string& sql) {
    auto answer = ask(sql);
    if (!answer) throw std::runtime_error(answer.error().message);
  }
  std::string text(const std::string& sql) {
    auto answer = ask(sql);
    if (!answer) throw std::runtime_error(answer.error().message);
    return std::string(answer->bytes(0, 0));
  }
  // A new schema, so that tests do not meet.
  std::string schema() {
    static int made = 0;
    const std::string name = fmt::format("schema {}\"?", ++made);
    run(fmt::format("CREATE SCHEMA \"schema {}\"\"?\"", made));
    return fmt::format("schema%20{}%22%3F", made);
  }

 private:
  static postgres::Target target() {
    return postgres::make_target(StoreUrl::parse(Server::shared().socket_url()).value(), {})
        .value();
  }
  io::Loop& loop_;
  io::Stop stop_;
  Log log_;
  postgres::Client client_;
};

class PostgresFixture : public conformance::Fixture {
 public:
  explicit PostgresFixture(io::Loop& loop)
      : site_(loop, Server::shared().url("postgres?schema=" + Direct(loop).schema())) {}
  Backend& backend() override { return site_.backend(); }

 private:
  Site site_;
};

INSTANTIATE_TEST_SUITE_P(
    Postgres, Conformance,
    testing::Values(conformance::Subject{
        .name = "Server",
        .open = [](io::Loop& loop) { return std::make_unique<PostgresFixture>(loop); },
        .many = 20'000}),
    [](const auto& tested) { return tested.param.name; });

class PostgresStoreTest : public testing::Test {
 protected:
  PostgresStoreTest() : direct_(loop_), schema_(direct_.schema()) {}

  [[nodiscard]] std::string url(std::string_view more = {}) const {
    return Server::shared().url(fmt::format("postgres?schema={}{}", schema_, more));
  }
  // The schema as SQL names it.
  [[nodiscard]] std::string in(std::string_view table) const {
    return fmt::format("\"schema {}\"\"?\".{}", schema_.substr(9, schema_.size() - 15), table);
  }
  [[nodiscard]] std::int64_t number(const std::string& sql) {
    return std::stoll(direct_.text("SELECT (" + sql + ")::text"));
  }
  [[nodiscard]] std::int64_t tables() {
    return number(fmt::format("SELECT count(*) FROM pg_tables WHERE schemaname = 'schema {}\"?'",
                              schema_.substr(9, schema_.size() - 15)));
  }

  Result<WriteAnswer> try_put(Store& store, const std::vector<conformance::Entry>& entries) {
    std::vector<EntryView> views;
    for (const auto& entry : entries) views.push_back(conformance::view(entry));
    return loop_.run(store.put(views));
  }
  void put(Store& store, const std::vector<conformance::Entry>& entries) {
    auto answer = try_put(store, entries);
    ASSERT_TRUE(answer) << answer.error().message;
    ASSERT_TRUE(answer->failed.empty()) << answer->failed.front().error.message;
  }
  std::vector<conformance::Entry> list(Store& store, bool values = true) {
    std::vector<conformance::Entry> all;
    std::string cursor;
    do {
      auto page = loop_.run(store.list({.cursor = cursor, .values = values}));
      if (!page) {
        ADD_FAILURE() << page.error().message;
        return all;
      }
      largest_page_ = std::max(largest_page_, page->entries.bytes());
      for (const EntryView& entry : page->entries) {
        all.push_back({std::string(entry.key), std::string(entry.value),
                       std::string(entry.metadata), entry.expiration});
      }
      cursor = page->cursor;
    } while (!cursor.empty());
    return all;
  }
  Result<GetAnswer> get(Store& store, const std::vector<std::string_view>& keys) {
    return loop_.run(store.get(keys));
  }
  static Error error_of(auto result) {
    EXPECT_FALSE(result);
    return result ? Error{} : result.error();
  }

  io::Loop loop_;
  Direct direct_;
  std::string schema_;
  std::size_t largest_page_ = 0;
};

TEST_F(PostgresStoreTest, ReadingMakesNoTable) {
  Site site(loop_, url());
  auto store = site.store();
  EXPECT_TRUE(list(*store).empty());
  EXPECT_EQ(get(*store, {"k"})->entries[0].presence, Presence::missing);
  const std::vector<std::string_view> keys = {"k"};
  EXPECT_TRUE(loop_.run(store->erase(keys)));
  EXPECT_TRUE(loop_.run(store->split({}, 4))->empty());
  EXPECT_EQ(loop_.run(site.backend().namespaces())->size(), 1u);
  EXPECT_FALSE(loop_.run(site.backend().find_namespace("other")));
  EXPECT_EQ(tables(), 0);
  put(*store, {{"k", "v", R"({ "a":1})", 4'102'444'800}});
  EXPECT_EQ(tables(), 1);
  EXPECT_EQ(direct_.text("SELECT encode(key, 'escape') || encode(value, 'escape') || metadata || "
                         "extract(epoch FROM expires_at)::bigint FROM " +
                         in("sluice_kv")),
            R"(kv{ "a":1}4102444800)");
}

TEST_F(PostgresStoreTest, ATableOfTheOperatorsIsUsedAsItIs) {
  direct_.run("CREATE TABLE " + in("\"my \"\"kv\"\"\"") +
              "(id bigserial PRIMARY KEY, expires_at timestamptz, made timestamptz DEFAULT now(), "
              "value bytea, key bytea UNIQUE NOT NULL, metadata json)");
  direct_.run("INSERT INTO " + in("\"my \"\"kv\"\"\"") +
              "(key, value, metadata, expires_at) VALUES ('a', 'theirs', '{\"n\": 1.0}', "
              "'infinity'), ('b', NULL, NULL, '2100-01-01 00:00:00.75Z'), ('old', 'x', NULL, "
              "'-infinity')");
  Site site(loop_, url("&table=my%20%22kv%22"));
  auto store = site.store();
  put(*store, {{"c", "ours", "", 0}});
  EXPECT_EQ(list(*store), (std::vector<conformance::Entry>{{"a", "theirs", R"({"n": 1.0})", 0},
                                                           {"b", "", "", 4'102'444'800},
                                                           {"c", "ours", "", 0}}));
  std::vector<conformance::Entry> many = conformance::numbered(500);
  many.push_back({"a", "replaced", "", 0});
  put(*store, many);
  put(*store, many);
  EXPECT_EQ(list(*store).size(), 503u);
  EXPECT_EQ(get(*store, {"a"})->entries[0].value, "replaced");
  // Without a value, but with metadata.
  direct_.run("UPDATE " + in("\"my \"\"kv\"\"\"") + " SET value = NULL, metadata = '[1]'");
  EXPECT_EQ(get(*store, {"a", "b"})->entries[1].metadata, "[1]");
  EXPECT_EQ(number("SELECT count(*) FROM " + in("\"my \"\"kv\"\"\"") + " WHERE made IS NULL"), 0);
}

TEST_F(PostgresStoreTest, APartitionedTableIsATableToo) {
  direct_.run("CREATE TABLE " + in("parts") +
              "(key bytea PRIMARY KEY, value bytea, metadata json, expires_at timestamptz) "
              "PARTITION BY RANGE (key)");
  direct_.run("CREATE TABLE " + in("low") + " PARTITION OF " + in("parts") +
              " FOR VALUES FROM (MINVALUE) TO ('key:001000')");
  direct_.run("CREATE TABLE " + in("high") + " PARTITION OF " + in("parts") +
              " FOR VALUES FROM ('key:001000') TO (MAXVALUE)");
  Site site(loop_, url("&table=parts"));
  auto store = site.store();
  const auto entries = conformance::numbered(3000);
  put(*store, entries);
  put(*store, entries);
  EXPECT_EQ(list(*store), entries);
  const auto points = loop_.run(store->split({}, 4));
  ASSERT_TRUE(points) << points.error().message;
  EXPECT_EQ(points->size(), 3u);
}

// COPY does not know of them.
TEST_F(PostgresStoreTest, RightsOnSingleRowsAreKept) {
  direct_.run("CREATE TABLE " + in("guarded") +
              "(key bytea PRIMARY KEY, value bytea, metadata json, expires_at timestamptz)");
  direct_.run("CREATE POLICY tenants ON " + in("guarded") + " USING (key < 'key:000100')");
  direct_.run("ALTER TABLE " + in("guarded") + " ENABLE ROW LEVEL SECURITY");
  direct_.run("CREATE ROLE tenant LOGIN PASSWORD 'x y'");
  direct_.run("GRANT ALL ON " + in("guarded") + " TO tenant");
  direct_.run("GRANT USAGE ON SCHEMA " + in("").substr(0, in("").size() - 1) + " TO tenant");
  {
    Site site(loop_,
              fmt::format("postgres://tenant:x%20y@127.0.0.1:{}/postgres?schema={}&table=guarded",
                          Server::shared().port(), schema_));
    auto store = site.store();
    put(*store, conformance::numbered(100));
    EXPECT_EQ(list(*store).size(), 100u);
    EXPECT_EQ(error_of(try_put(*store, conformance::numbered(200))).code, ErrorCode::unauthorized);
    EXPECT_EQ(list(*store).size(), 100u);
  }
  direct_.run("DROP OWNED BY tenant");
  direct_.run("DROP ROLE tenant");
}

TEST_F(PostgresStoreTest, ATableThatTheUrlNamesIsNotMade) {
  Site site(loop_, url("&table=mistyped"));
  auto store = site.store();
  for (const Error& error : {error_of(loop_.run(store->list({}))), error_of(get(*store, {"k"})),
                             error_of(try_put(*store, {{"k", "v", "", 0}}))}) {
    EXPECT_EQ(error.code, ErrorCode::not_found);
    EXPECT_EQ(error.retry, Retry::fatal);
    EXPECT_NE(error.message.find("mistyped"), std::string::npos) << error.message;
    EXPECT_NE(error.message.find("CREATE TABLE"), std::string::npos) << error.message;
  }
  EXPECT_EQ(tables(), 0);
}

// Each would alter what is stored, or write keys twice, without an error of the server's.
TEST_F(PostgresStoreTest, ATableOfAnotherShapeIsRefused) {
  const char* shapes[] = {
      "TABLE %(key bytea PRIMARY KEY, value bytea, metadata jsonb, expires_at timestamptz)",
      "TABLE %(key text PRIMARY KEY, value bytea, metadata json, expires_at timestamptz)",
      "TABLE %(key bytea PRIMARY KEY, value text, metadata json, expires_at timestamptz)",
      "TABLE %(key bytea PRIMARY KEY, value bytea, metadata json, expires_at timestamp)",
      "TABLE %(key bytea, value bytea, metadata json, expires_at timestamptz)",
      "TABLE %(key bytea PRIMARY KEY DEFERRABLE, value bytea, metadata json, expires_at "
      "timestamptz)",
      "TABLE %(key bytea, value bytea, metadata json, expires_at timestamptz, UNIQUE (key, value))",
      "TABLE %(key bytea PRIMARY KEY, value bytea)",
      "VIEW % AS SELECT ''::bytea AS key, ''::bytea AS value, '1'::json AS metadata, now() AS "
      "expires_at",
      "TABLE %(x int)",
  };
  int count = 0;
  for (std::string shape : shapes) {
    const std::string table = fmt::format("t{}", ++count);
    direct_.run("CREATE " + shape.replace(shape.find('%'), 1, in(table)));
    Site site(loop_, url("&table=" + table));
    auto store = site.store();
    const Error error = error_of(try_put(*store, {{"k", "v", "1", 0}}));
    EXPECT_EQ(error.code, ErrorCode::invalid_argument) << shape;
    EXPECT_EQ(error.retry, Retry::fatal) << shape;
    EXPECT_NE(error.message.find(table), std::string::npos) << error.message;
    EXPECT_EQ(error_of(loop_.run(store->list({}))).code, ErrorCode::invalid_argument) << shape;
  }
}

TEST_F(PostgresStoreTest, ABadNameInTheUrlIsRefused) {
  for (const std::string& more : {std::string("&table="), "&table=" + std::string(64, 'x'),
                                  std::string("&table=a%00b"), std::string("&table=%ff")}) {
    Site table(loop_, Server::shared().url("postgres?sslmode=prefer" + more));
    ASSERT_FALSE(table.opened()) << more;
    EXPECT_EQ(table.opened().error().code, ErrorCode::invalid_argument);
  }
}

// CREATE … IF NOT EXISTS alone fails for one of them now and then.
TEST_F(PostgresStoreTest, SeveralClientsMakeTablesAtOnce) {
  for (int round = 0; round < 5; ++round) {
    const std::string schema = direct_.schema();
    std::vector<std::unique_ptr<Site>> sites;
    std::vector<std::unique_ptr<Store>> stores;
    for (int i = 0; i < 8; ++i) {
      sites.push_back(
          std::make_unique<Site>(loop_, Server::shared().url("postgres?schema=" + schema)));
      stores.push_back(sites.back()->backend().open({"default", "default"}));
    }
    std::vector<std::string> titles;
    std::vector<conformance::Entry> entries;
    for (int i = 0; i < 8; ++i) {
      titles.push_back(fmt::format("space {}", i));
      entries.push_back({fmt::format("key {}", i), "v", "", 0});
    }
    std::vector<EntryView> views;
    for (const auto& entry : entries) views.push_back(conformance::view(entry));
    auto everything = [&]() -> io::Task<int> {
      std::vector<io::Started<Result<WriteAnswer>>> puts;
      std::vector<io::Started<Result<Namespace>>> spaces;
      for (std::size_t i = 0; i < 8; ++i) {
        puts.push_back(io::start(loop_.executor(), stores[i]->put(std::span(views).subspan(i, 1))));
        spaces.push_back(
            io::start(loop_.executor(), sites[i]->backend().create_namespace(titles[i])));
      }
      int failures = 0;
      for (auto& each : puts) {
        const auto answer = co_await each.get();
        if (answer && answer->failed.empty()) continue;
        ++failures;
        ADD_FAILURE() << (answer ? answer->failed.front().error : answer.error()).message;
      }
      for (auto& each : spaces) {
        const auto answer = co_await each.get();
        if (answer) continue;
        ++failures;
        ADD_FAILURE() << answer.error().message;
      }
      co_return failures;
    };
    EXPECT_EQ(loop_.run(everything()), 0);
    EXPECT_EQ(list(*stores[0]).size(), 8u);
    EXPECT_EQ(loop_.run(sites[0]->backend().namespaces())->size(), 9u);
  }
}

// COPY into the table fails where a key is there already; then the batch is written over them.
TEST_F(PostgresStoreTest, APutOverOldKeysIsWholeAndLaterPutsGoOn) {
  Site site(loop_, url());
  auto store = site.store();
  std::vector<conformance::Entry> expected;
  for (int round = 0; round < 40; ++round) {
    auto entries = conformance::numbered(200 + static_cast<std::size_t>(round) * 10);
    for (auto& entry : entries) entry.value += fmt::format(" in round {}", round);
    put(*store, entries);
    expected = entries;
  }
  EXPECT_EQ(list(*store), expected);
}

TEST_F(PostgresStoreTest, WritersOfTheSameKeysDoNotHinderEachOther) {
  Site site(loop_, url());
  auto store = site.store();
  put(*store, {{"key:000100", "v", "", 0}});
  constexpr std::size_t kWriters = 10;
  std::vector<std::vector<conformance::Entry>> entries(kWriters, conformance::numbered(400));
  std::vector<std::vector<EntryView>> views(kWriters);
  std::mt19937 random(3);
  for (std::size_t i = 0; i < kWriters; ++i) {
    std::ranges::shuffle(entries[i], random);
    for (auto& entry : entries[i]) {
      entry.value = fmt::format("writer {}", i);
      views[i].push_back(conformance::view(entry));
    }
  }
  auto everything = [&]() -> io::Task<std::string> {
    std::vector<io::Started<Result<WriteAnswer>>> puts;
    for (const auto& each : views) puts.push_back(io::start(loop_.executor(), store->put(each)));
    std::string failures;
    for (auto& each : puts) {
      const auto answer = co_await each.get();
      if (!answer) failures += answer.error().message;
    }
    co_return failures;
  };
  EXPECT_EQ(loop_.run(everything()), "");
  // Puts are whole: one of them was the last.
  const auto all = list(*store);
  ASSERT_EQ(all.size(), 400u);
  for (const auto& entry : all) EXPECT_EQ(entry.value, all.front().value) << entry.key;
}

TEST_F(PostgresStoreTest, MetadataThatPostgresRefusesFailsTheBatchOrTheEntry) {
  Site site(loop_, url());
  auto store = site.store();
  auto answer = try_put(*store, {{"a", "v", "\"\xff\"", 0},
                                 {"b", "v", std::string("\"\0\"", 3), 0},
                                 {"c", "v", "", postgres::kEndOfTime},
                                 {"d", "v", R"("\u0000")", 0}});
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(answer->failed.size(), 3u);
  for (const KeyFailure& failure : answer->failed) {
    EXPECT_EQ(failure.error.code, ErrorCode::invalid_argument);
    EXPECT_NE(failure.error.message.find(static_cast<char>('a' + failure.index)),
              std::string::npos);
  }
  EXPECT_EQ(list(*store), (std::vector<conformance::Entry>{{"d", "v", R"("\u0000")", 0}}));
  // What only the server finds, with few and with many entries.
  for (const std::size_t count : {2, 300}) {
    auto entries = conformance::numbered(count);
    entries[1].metadata = "{not json}";
    const Error error = error_of(try_put(*store, entries));
    EXPECT_EQ(error.code, ErrorCode::invalid_argument) << error.message;
    EXPECT_EQ(error.retry, Retry::never);
    EXPECT_NE(error.message.find("json"), std::string::npos) << error.message;
    EXPECT_EQ(list(*store).size(), 1u) << "nothing of a put that failed";
  }
}

TEST_F(PostgresStoreTest, TheLongestKeyFitsTheIndex) {
  Site site(loop_, url());
  auto store = site.store();
  std::mt19937 random(9);  // what cannot be compressed
  std::string key;
  while (key.size() < store->capabilities().key_bytes) key += static_cast<char>(random());
  put(*store, {{key, "v", "", 0}});
  EXPECT_EQ(get(*store, {key})->entries[0].value, "v");
  EXPECT_EQ(list(*store).front().key, key);
}

TEST_F(PostgresStoreTest, PagesAreBoundedByBytes) {
  Site site(loop_, url());
  auto store = site.store();
  std::mt19937 random(11);
  std::vector<conformance::Entry> entries = conformance::numbered(300);
  for (auto& entry : entries) {
    entry.value.resize(random() % 5 == 0 ? 300'000 : random() % 3000, 'x');
    // Compresses to nearly nothing, so that its size in the table says little.
    if (random() % 20 == 0) entry.metadata = fmt::format("\"{}\"", std::string(500'000, 'm'));
  }
  for (std::size_t i = 0; i < entries.size(); i += 10) {
    put(*store, {entries.begin() + static_cast<std::ptrdiff_t>(i),
                 entries.begin() + static_cast<std::ptrdiff_t>(i + 10)});
  }
  EXPECT_EQ(list(*store, true), entries);
  EXPECT_LE(largest_page_, 3u << 20);
  largest_page_ = 0;
  auto listed = list(*store, false);
  EXPECT_LE(largest_page_, 3u << 20);
  EXPECT_GT(largest_page_, 1u << 20) << "pages are of use";
  for (auto& entry : entries) entry.value.clear();
  EXPECT_EQ(listed, entries);
}

TEST_F(PostgresStoreTest, AGetIsBoundedByBytes) {
  Site site(loop_, url());
  auto store = site.store();
  put(*store, {{"large", std::string(20'000'000, 'l'), "", 0}});
  for (const char* key : {"a", "b", "c"}) put(*store, {{key, std::string(3'000'000, *key), "", 0}});
  EXPECT_EQ(get(*store, {"large"})->entries[0].value.size(), 20'000'000u);
  EXPECT_EQ(get(*store, {"large", "absent"})->entries[0].value.size(), 20'000'000u);
  const Error error = error_of(get(*store, {"a", "b", "c"}));
  EXPECT_EQ(error.code, ErrorCode::too_large);
  EXPECT_EQ(error.retry, Retry::smaller);
  EXPECT_EQ(get(*store, {"a", "c"})->entries[1].value, std::string(3'000'000, 'c'));
}

TEST_F(PostgresStoreTest, AStretchOfExpiredRowsGivesEmptyPagesThatAreNotTheEnd) {
  Site site(loop_, url());
  auto store = site.store();
  auto entries = conformance::numbered(12'000);
  for (auto& entry : entries) entry.expiration = unix_now() - 5;
  entries.push_back({"z", "alive", "", 0});
  put(*store, entries);
  auto page = loop_.run(store->list({}));
  ASSERT_TRUE(page);
  EXPECT_TRUE(page->entries.empty());
  EXPECT_FALSE(page->cursor.empty());
  EXPECT_EQ(list(*store), (std::vector<conformance::Entry>{{"z", "alive", "", 0}}));
}

TEST_F(PostgresStoreTest, AForeignTableIsNotDropped) {
  Site site(loop_, url());
  ASSERT_TRUE(loop_.run(site.backend().create_namespace("one")));
  direct_.run("CREATE TABLE " + in("sluice_kv_77") + "(x int)");
  EXPECT_EQ(error_of(loop_.run(site.backend().delete_namespace({"77", "77"}))).code,
            ErrorCode::not_found);
  EXPECT_EQ(number("SELECT count(*) FROM " + in("sluice_kv_77")), 0);
  EXPECT_TRUE(loop_.run(site.backend().create_namespace("two")));
}

TEST_F(PostgresStoreTest, TheDefaultNamespaceExistsAndStays) {
  Site site(loop_, url());
  auto& backend = site.backend();
  const Namespace space = loop_.run(backend.find_namespace("default")).value();
  EXPECT_FALSE(loop_.run(backend.delete_namespace(space)));
  EXPECT_FALSE(loop_.run(backend.rename_namespace(space, "other")));
  EXPECT_EQ(error_of(loop_.run(backend.create_namespace("default"))).code, ErrorCode::conflict);
  const Namespace other = loop_.run(backend.create_namespace("other")).value();
  EXPECT_EQ(error_of(loop_.run(backend.rename_namespace(other, "default"))).code,
            ErrorCode::conflict);
}

TEST_F(PostgresStoreTest, ATableThatIsDroppedMeanwhileIsMadeAgain) {
  Site site(loop_, url());
  auto store = site.store();
  put(*store, {{"a", "v", "", 0}});
  direct_.run("DROP TABLE " + in("sluice_kv"));
  EXPECT_TRUE(list(*store).empty());
  put(*store, {{"b", "v", "", 0}});
  EXPECT_EQ(list(*store).size(), 1u);
}

TEST_F(PostgresStoreTest, ConnectionsThatTheServerEndsAreReplaced) {
  Site site(loop_, url());
  auto store = site.store();
  put(*store, {{"a", "v", "", 0}});
  // By the administrator, while they are idle …
  direct_.run(
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> "
      "pg_backend_pid() AND backend_type = 'client backend'");
  EXPECT_EQ(list(*store).size(), 1u);
  // … and with the whole server.
  Server::shared().stop(SIGQUIT);
  Server::shared().launch();
  put(*store, {{"b", "v", "", 0}});
  EXPECT_EQ(list(*store).size(), 2u);
}

TEST_F(PostgresStoreTest, ACallThatTakesTooLongIsCalledOff) {
  Site site(loop_, url(), std::chrono::milliseconds(400));
  auto store = site.store();
  put(*store, conformance::numbered(100));
  std::vector<postgres::Statement> lock;
  io::Stop stop(loop_.executor());
  Log log(LogLevel::off);
  auto target =
      postgres::make_target(StoreUrl::parse(Server::shared().socket_url()).value(), {}).value();
  auto other = loop_.run(
      postgres::Connection::open(target, log, stop, io::Clock::now() + std::chrono::seconds(30)));
  ASSERT_TRUE(other) << other.error().message;
  (*other)->begin("locking", io::Clock::now() + std::chrono::seconds(30));
  lock.emplace_back("BEGIN");
  lock.emplace_back("LOCK TABLE " + in("sluice_kv"));
  ASSERT_TRUE(loop_.run((*other)->run(std::move(lock))));

  const Error many = error_of(try_put(*store, conformance::numbered(50)));
  EXPECT_EQ(many.code, ErrorCode::timeout) << many.message;
  EXPECT_EQ(many.retry, Retry::smaller);
  const Error one = error_of(try_put(*store, conformance::numbered(1)));
  EXPECT_EQ(one.code, ErrorCode::timeout) << one.message;
  // The server has given them up, too.
  std::int64_t waiting = 1;
  for (int tries = 0; waiting != 0 && tries < 500; ++tries) {
    waiting = number("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
    if (waiting != 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(waiting, 0);
  other->reset();
  put(*store, conformance::numbered(120));
  EXPECT_EQ(list(*store).size(), 120u);
}

TEST_F(PostgresStoreTest, RefusalsSayWhatToDoAndNoPassword) {
  const int port = Server::shared().port();
  direct_.run("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'");
  direct_.run("CREATE ROLE guest LOGIN PASSWORD 'hunter2'");
  const struct {
    std::string url;
    ErrorCode code;
    std::string mentions;
  } cases[] = {
      {fmt::format("postgres://owner:hunter2@127.0.0.1:{}/postgres", port), ErrorCode::unauthorized,
       "PGPASSWORD"},
      {fmt::format("postgres://nobody:hunter2@127.0.0.1:{}/postgres", port),
       ErrorCode::unauthorized, "nobody"},
      {Server::shared().url("absent"), ErrorCode::not_found, "absent"},
      {Server::shared().url("latin"), ErrorCode::unsupported, "UTF8"},
      {Server::shared().url("postgres?sslmode=require"), ErrorCode::network, "sslmode"},
      {Server::shared().url("postgres?sslmode=never"), ErrorCode::invalid_argument, "sslmode"},
      {fmt::format("postgres://guest:hunter2@127.0.0.1:{}/postgres", port), ErrorCode::unauthorized,
       "GRANT"},
      {Server::shared().url("postgres?schema=absent"), ErrorCode::not_found, "schema"},
      {Server::shared().url("postgres?options=-cdefault_transaction_read_only%3Don"),
       ErrorCode::unsupported, "only reads"},
  };
  for (const auto& each : cases) {
    Site site(loop_, each.url);
    ASSERT_TRUE(site.opened()) << site.opened().error().message;
    auto store = site.backend().open({"default", "default"});
    const Error error = error_of(try_put(*store, {{"k", "v", "", 0}}));
    EXPECT_EQ(error.code, each.code) << each.url << "\n" << error.message;
    EXPECT_EQ(error.retry, Retry::fatal) << each.url << "\n" << error.message;
    EXPECT_NE(error.message.find(each.mentions), std::string::npos) << error.message;
    EXPECT_EQ(error.message.find("hunter2"), std::string::npos) << error.message;
    EXPECT_EQ(error.message.find(Server::kPassword), std::string::npos) << error.message;
    EXPECT_EQ(site.backend().description().find("hunter2"), std::string::npos);
  }
  direct_.run("DROP ROLE guest");
  direct_.run("DROP DATABASE latin");
}

TEST_F(PostgresStoreTest, ManyCallsShareAsFewConnectionsAsMayBeInFlight) {
  Site site(loop_, url("&application_name=counted"));
  auto store = site.store();
  put(*store, conformance::numbered(100));
  auto everything = [&]() -> io::Task<int> {
    std::vector<io::Started<Result<Page>>> lists;
    for (int i = 0; i < 100; ++i) lists.push_back(io::start(loop_.executor(), store->list({})));
    int listed = 0;
    for (auto& each : lists) {
      const auto page = co_await each.get();
      if (page && page->entries.size() == 100) ++listed;
    }
    co_return listed;
  };
  EXPECT_EQ(loop_.run(everything()), 100);
  const auto connections =
      number("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'counted'");
  EXPECT_GE(connections, 1);
  EXPECT_LE(connections, 10);
  const WireStats stats = site.opened()->wire_stats();
  // find is the default's own; a put, 100 lists, and the connections.
  EXPECT_EQ(stats.gate.sent, 101u + static_cast<std::uint64_t>(connections));
  EXPECT_EQ(stats.retries, 0u);
  EXPECT_GT(stats.bytes_received, 100u * 100u * 10u);
}

}  // namespace
}  // namespace sluice::store
