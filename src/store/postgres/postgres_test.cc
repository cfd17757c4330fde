#include "store/postgres/postgres_test.h"

#include <algorithm>

#include "store/limits.h"

namespace sluice::store::postgres_test {
namespace {

using conformance::Conformance;

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

}  // namespace
}  // namespace sluice::store::postgres_test
