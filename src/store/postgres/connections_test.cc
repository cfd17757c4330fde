#include <thread>

#include "store/postgres/postgres_test.h"

namespace sluice::store::postgres_test {
namespace {

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
}  // namespace sluice::store::postgres_test
