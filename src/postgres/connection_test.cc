#include "postgres/connection.h"

#include <gtest/gtest.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "postgres/binary.h"
#include "postgres/client.h"
#include "postgres/server_test.h"

namespace sluice::postgres {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Takes connections and says `greeting`, or nothing at all.
class Impostor {
 public:
  Impostor(io::Loop& loop, std::string greeting)
      : acceptor_(loop.executor(), {boost::asio::ip::address_v4::loopback(), 0}),
        greeting_(std::move(greeting)) {
    accept();
  }
  [[nodiscard]] int port() const { return acceptor_.local_endpoint().port(); }

 private:
  using Tcp = boost::asio::ip::tcp;
  void accept() {
    acceptor_.async_accept([this](const boost::system::error_code& error,
                                  boost::asio::basic_stream_socket<Tcp, io::Executor> socket) {
      if (error) return;
      boost::system::error_code ignored;
      boost::asio::write(socket, boost::asio::buffer(greeting_), ignored);
      kept_.push_back(std::move(socket));
      accept();
    });
  }
  boost::asio::basic_socket_acceptor<Tcp, io::Executor> acceptor_;
  std::vector<boost::asio::basic_stream_socket<Tcp, io::Executor>> kept_;
  std::string greeting_;
};

class ConnectionTest : public testing::Test {
 protected:
  ConnectionTest() : stop_(loop_.executor()), log_(LogLevel::off) {}

  using Opened = Result<std::unique_ptr<Connection>>;
  Opened open(const std::string& url, milliseconds patience = seconds(30)) {
    auto target = make_target(StoreUrl::parse(url).value(), {});
    if (!target) return std::unexpected(std::move(target.error()));
    targets_.push_back(std::make_unique<Target>(std::move(*target)));
    auto opened =
        loop_.run(Connection::open(*targets_.back(), log_, stop_, io::Clock::now() + patience));
    if (opened) (*opened)->begin("testing", io::Clock::now() + seconds(60));
    return opened;
  }
  std::unique_ptr<Connection> connected() {
    auto opened = open(Server::shared().url());
    if (!opened) throw std::runtime_error(opened.error().message);
    return std::move(*opened);
  }
  Result<Rows> ask(Connection& connection, std::string sql) {
    return loop_.run(connection.run_one(Statement(std::move(sql))));
  }

  io::Loop loop_;
  io::Stop stop_;
  Log log_;
  std::vector<std::unique_ptr<Target>> targets_;
};

TEST_F(ConnectionTest, ParametersAndRowsGoBothWaysInBinary) {
  auto connection = connected();
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
  Statement statement(
      "SELECT $1::bytea, $2::text, $3::int8, $4::json, $5::timestamptz, $6::bytea, "
      "$7::bytea[] = ARRAY['a', '\\x00ff']::bytea[], NULL::int8");
  const std::vector<std::string_view> array = {"a", {"\0\xff", 2}};
  statement.bytes(bytes)
      .text("zwölf")
      .int64(-7)
      .json("{ \"a\" : 1 }")
      .timestamp(to_timestamp(1'700'000'000))
      .null(oid::bytea)
      .bytea_array(bytea_array(array));
  auto rows = loop_.run(connection->run_one(std::move(statement)));
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ(rows->bytes(0, 0), bytes);
  EXPECT_EQ(rows->bytes(0, 1), "zwölf");
  EXPECT_EQ(rows->int64(0, 2), -7);
  EXPECT_EQ(rows->bytes(0, 3), "{ \"a\" : 1 }");
  EXPECT_EQ(from_timestamp(rows->int64(0, 4)), 1'700'000'000);
  EXPECT_TRUE(rows->is_null(0, 5));
  EXPECT_TRUE(rows->boolean(0, 6));
  EXPECT_TRUE(rows->is_null(0, 7));
  EXPECT_EQ(rows->int64(0, 7), 0);
}

TEST_F(ConnectionTest, StatementsOfOneRunAreOneTransaction) {
  auto connection = connected();
  ASSERT_TRUE(ask(*connection, "CREATE TEMP TABLE t(x int PRIMARY KEY)"));
  std::vector<Statement> statements;
  statements.emplace_back("INSERT INTO t VALUES (1)");
  statements.emplace_back("INSERT INTO t VALUES (2), (3)");
  auto done = loop_.run(connection->run(std::move(statements)));
  ASSERT_TRUE(done) << done.error().message;
  ASSERT_EQ(done->size(), 2u);
  EXPECT_EQ((*done)[1].affected(), 2u);

  statements.clear();
  statements.emplace_back("INSERT INTO t VALUES (4)");
  statements.emplace_back("INSERT INTO t VALUES (1)");
  statements.emplace_back("INSERT INTO t VALUES (5)");
  auto failed = loop_.run(connection->run(std::move(statements)));
  ASSERT_FALSE(failed);
  EXPECT_EQ(connection->sqlstate(), "23505");
  EXPECT_NE(failed.error().message.find("while testing"), std::string::npos);
  EXPECT_TRUE(connection->reusable());
  EXPECT_EQ(ask(*connection, "SELECT count(*) FROM t")->int64(0, 0), 3);

  ASSERT_TRUE(ask(*connection, "BEGIN"));
  EXPECT_FALSE(connection->reusable()) << "in a transaction";
  ASSERT_TRUE(ask(*connection, "ROLLBACK"));
  EXPECT_TRUE(connection->reusable());
}

TEST_F(ConnectionTest, MuchGoesBothWays) {
  auto connection = connected();
  const std::string large(30'000'000, 'x');
  Statement statement("SELECT $1::bytea, repeat('y', 20000000)::text");
  statement.bytes(large);
  auto rows = loop_.run(connection->run_one(std::move(statement)));
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(rows->bytes(0, 0), large);
  EXPECT_EQ(rows->bytes(0, 1).size(), 20'000'000u);
  EXPECT_FALSE(connection->reusable()) << "libpq keeps buffers of that size";
  // Answers that fill the sockets while much is still to be sent.
  connection = connected();
  std::vector<Statement> statements;
  for (int i = 0; i < 40; ++i) {
    statements.emplace_back("SELECT $1::bytea || repeat('z', 500000)::bytea");
    statements.back().bytes(std::string(500'000, 'a'));
  }
  auto answers = loop_.run(connection->run(std::move(statements)));
  ASSERT_TRUE(answers) << answers.error().message;
  for (const Rows& each : *answers) EXPECT_EQ(each.bytes(0, 0).size(), 1'000'000u);
}

TEST_F(ConnectionTest, CopyTakesPiecesOfAnySizeAndEndsWithItsErrors) {
  auto connection = connected();
  ASSERT_TRUE(ask(*connection, "CREATE TEMP TABLE t(x bytea)"));
  ASSERT_TRUE(ask(*connection, "CREATE UNIQUE INDEX ON t(md5(x))"));
  const auto copy = [&](std::vector<std::string> values, std::size_t piece,
                        const std::string& sql) -> Result<> {
    std::string data(kCopyHeader);
    for (const std::string& value : values) {
      append_int16(data, 1);
      append_int32(data, static_cast<std::int32_t>(value.size()));
      data += value;
    }
    data += kCopyTrailer;
    std::string_view rest = data;
    return loop_.run(connection->copy_in(sql, [&, rest]() mutable {
      const std::string_view part = rest.substr(0, piece);
      rest.remove_prefix(part.size());
      return part;
    }));
  };
  const std::string plain = "COPY t FROM STDIN WITH (FORMAT binary)";
  ASSERT_TRUE(copy({"a", "b"}, 3, plain));
  ASSERT_TRUE(copy({std::string(3'000'000, 'c'), "d"}, 10'000'000, plain));
  EXPECT_EQ(ask(*connection, "SELECT sum(length(x)) FROM t")->int64(0, 0), 3'000'003);

  auto failed = copy({"e", "a", std::string(2'000'000, 'f')}, 1000, plain);
  ASSERT_FALSE(failed);
  EXPECT_EQ(connection->sqlstate(), "23505");
  EXPECT_TRUE(connection->reusable());
  // What surrounds the COPY is part of its transaction.
  failed = copy({"g"}, 1000, "DELETE FROM t; " + plain + "; SELECT 1/0");
  ASSERT_FALSE(failed);
  EXPECT_EQ(connection->sqlstate(), "22012");
  EXPECT_EQ(ask(*connection, "SELECT count(*) FROM t")->int64(0, 0), 4);
  failed = copy({"g"}, 1000, "SELECT no_such_function(); " + plain);
  ASSERT_FALSE(failed);
  EXPECT_EQ(connection->sqlstate(), "42883");
  ASSERT_TRUE(copy({"g"}, 1000, "DELETE FROM t; " + plain));
  EXPECT_EQ(ask(*connection, "SELECT count(*) FROM t")->int64(0, 0), 1);
}

TEST_F(ConnectionTest, AServerThatLeavesIsNoticed) {
  auto connection = connected();
  auto left = ask(*connection, "SELECT pg_terminate_backend(pg_backend_pid())");
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().retry, Retry::again) << left.error().message;
  EXPECT_FALSE(connection->reusable());
  // While it is idle.
  auto other = connected();
  auto one = connected();
  const auto process = ask(*one, "SELECT pg_backend_pid()::int8")->int64(0, 0);
  EXPECT_TRUE(one->reusable());
  ASSERT_TRUE(ask(*other, fmt::format("SELECT pg_terminate_backend({}, 5000)", process)));
  for (int tries = 0; one->reusable() && tries < 500; ++tries) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_FALSE(one->reusable());
  auto gone = ask(*one, "SELECT 1");
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().retry, Retry::again) << gone.error().message;
  // In the middle of a COPY.
  one = connected();
  ASSERT_TRUE(ask(*one, "CREATE TEMP TABLE t(x text)"));
  const auto again = ask(*one, "SELECT pg_backend_pid()::int8")->int64(0, 0);
  int pieces = 0;
  auto cut = loop_.run(one->copy_in("COPY t FROM STDIN", [&]() -> std::string_view {
    if (++pieces == 3) kill(static_cast<pid_t>(again), SIGTERM);
    static const std::string line = std::string(200'000, 'x') + "\n";
    return pieces < 500 ? std::string_view(line) : std::string_view();
  }));
  if (geteuid() == 0 || !cut) {
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().retry, Retry::again) << cut.error().message;
  }
}

TEST_F(ConnectionTest, AnAnswerThatDoesNotComeEndsInTime) {
  auto connection = connected();
  connection->begin("waiting", io::Clock::now() + milliseconds(100));
  const auto late = ask(*connection, "SELECT pg_sleep(60)");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::timeout);
  EXPECT_NE(late.error().message.find("waiting"), std::string::npos);
  EXPECT_FALSE(connection->reusable());
}

TEST_F(ConnectionTest, TheUnixSocketIsAPlaceToo) {
  auto opened = open(Server::shared().socket_url());
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(ask(**opened, "SELECT current_setting('application_name')")->bytes(0, 0), "sluice");
}

TEST_F(ConnectionTest, NamesAreLookedUp) {
  auto opened = open(fmt::format("postgres://owner:{}@localhost:{}/postgres",
                                 Server::kPasswordInUrl, Server::shared().port()));
  ASSERT_TRUE(opened) << opened.error().message;
  // RFC 6761: no such name exists.
  auto unknown = open("postgres://owner@no-such-host.invalid/postgres");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::network);
  EXPECT_NE(unknown.error().message.find("no-such-host.invalid"), std::string::npos);
}

TEST_F(ConnectionTest, TheNextHostIsTriedWhenOneCannotBeReached) {
  Impostor silent(loop_, "");
  const std::string good = fmt::format("127.0.0.1:{}", Server::shared().port());
  const std::string user = fmt::format("owner:{}", Server::kPasswordInUrl);
  auto opened =
      open(fmt::format("postgres://{}@127.0.0.1:1,no-such-host.invalid,{}/postgres", user, good));
  EXPECT_TRUE(opened) << opened.error().message;
  opened = open(fmt::format("postgres://{}@127.0.0.1:{},{}/postgres?connect_timeout=1", user,
                            silent.port(), good));
  EXPECT_TRUE(opened) << opened.error().message;
  // A refused password is final: the other one is the same user's.
  opened = open(fmt::format("postgres://owner:wrong@{},{}/postgres", good, good));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::unauthorized);
}

TEST_F(ConnectionTest, WhatIsNoServerIsTold) {
  Impostor web(loop_, "HTTP/1.1 400 Bad Request\r\n\r\n");
  auto opened = open(fmt::format("postgres://u@127.0.0.1:{}/x?sslmode=disable", web.port()));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::protocol) << opened.error().message;
  EXPECT_EQ(opened.error().retry, Retry::fatal);
  Impostor silent(loop_, "");
  opened = open(fmt::format("postgres://u@127.0.0.1:{}/x", silent.port()), milliseconds(200));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::network) << opened.error().message;
}

TEST_F(ConnectionTest, AStopEndsConnecting) {
  Impostor silent(loop_, "");
  auto target = make_target(
      StoreUrl::parse(fmt::format("postgres://u@127.0.0.1:{}/x", silent.port())).value(), {});
  ASSERT_TRUE(target);
  auto both = [&]() -> io::Task<Opened> {
    auto opening = io::start(
        loop_.executor(), Connection::open(*target, log_, stop_, io::Clock::now() + seconds(600)));
    co_await io::sleep_for(milliseconds(50));
    stop_.request({ErrorCode::interrupted, Retry::fatal, std::nullopt, "enough"});
    co_return co_await opening.get();
  };
  auto opened = loop_.run(both());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message, "enough");
}

TEST_F(ConnectionTest, AnAbandonedStopEndsACall) {
  for (const bool idempotent : {true, false}) {
    auto target = make_target(StoreUrl::parse(Server::shared().url()).value(), {});
    ASSERT_TRUE(target);
    io::Stop stop(loop_.executor());
    Client client(loop_.executor(), stop, log_,
                  {.target = std::move(*target), .timeout = seconds(600), .gate = {}, .retry = {}});
    bool asked = false;
    auto work = [&](Connection& connection) -> io::Task<Result<Rows>> {
      asked = true;
      auto late = co_await connection.run_one(Statement("SELECT pg_sleep(600)"));
      EXPECT_FALSE(connection.reusable());
      co_return late;
    };
    auto both = [&]() -> io::Task<Result<Rows>> {
      auto call = io::start(loop_.executor(),
                            client.call({.doing = "testing", .idempotent = idempotent}, work));
      while (!asked) co_await io::sleep_for(milliseconds(1));
      stop.request({ErrorCode::deadline, Retry::fatal, std::nullopt, "enough"});
      co_await io::sleep_for(milliseconds(50));
      EXPECT_FALSE(call.ready()) << "a request alone cuts nothing";
      stop.abandon();
      co_return co_await call.get();
    };
    auto answer = loop_.run(both());
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::deadline);
    EXPECT_EQ(answer.error().retry, Retry::never);
    EXPECT_TRUE(answer.error().message.starts_with("enough; ")) << answer.error().message;
    EXPECT_EQ(answer.error().message.find("not known") == std::string::npos, idempotent);
    EXPECT_EQ(client.stats().gate.in_flight, 0u);
  }
}

TEST_F(ConnectionTest, WhatIsNotKnownToBeDoneIsNotRepeated) {
  auto target = make_target(StoreUrl::parse(Server::shared().url()).value(), {});
  Client client(loop_.executor(), stop_, log_,
                {.target = std::move(*target),
                 .gate = {},
                 .retry = {.attempts = 3, .base = milliseconds(1), .longest = milliseconds(2)}});
  for (const bool idempotent : {true, false}) {
    int tries = 0;
    // A crash of the server's process says nothing about what it has done.
    auto work = [&](Connection& connection) -> io::Task<Result<Rows>> {
      ++tries;
      Connection::Traffic before = connection.traffic();
      auto process = co_await connection.run_one(Statement("SELECT pg_backend_pid()::int8"));
      if (!process) co_return process;
      EXPECT_GT(connection.traffic().sent, before.sent);
      connection.begin("sleeping", io::Clock::now() + milliseconds(50));
      auto late = co_await connection.run_one(Statement("SELECT pg_sleep(60)"));
      EXPECT_FALSE(late);
      co_return late;
    };
    auto answer = loop_.run(client.call({.doing = "testing", .idempotent = idempotent}, work));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().retry, Retry::never);
    EXPECT_EQ(tries, idempotent ? 3 : 1);
  }
  EXPECT_EQ(client.stats().retries, 2u);
}

}  // namespace
}  // namespace sluice::postgres
