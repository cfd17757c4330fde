#include "http/server_connection.h"

#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace sluice::http {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using tcp = asio::ip::tcp;
using Acceptor = asio::basic_socket_acceptor<tcp, io::Executor>;

// Answers with what it was asked, and keeps a record.
class Echo : public Service {
 public:
  std::vector<std::string> asked;  // "PUT /a hello"
  std::vector<int> statuses;       // as served() was told
  std::vector<std::uint64_t> sent;
  std::uint64_t body_limit = 1000;
  std::function<io::Task<>()> before;  // what a handler waits for

  std::vector<std::string> broken;

  std::unique_ptr<Conversation> begin(std::string) override {
    return std::make_unique<Talk>(*this);
  }
  void broke(std::string_view what) override { broken.emplace_back(what); }

 private:
  struct Talk : Conversation {
    explicit Talk(Echo& the_echo) : echo(the_echo) {}
    std::expected<std::uint64_t, ServerResponse> admit(ServerRequest& request) override {
      if (request.path == "/forbidden") return std::unexpected(say(403, "no"));
      return echo.body_limit;
    }
    io::Task<ServerResponse> respond(ServerRequest& request) override {
      if (echo.before) co_await echo.before();
      echo.asked.push_back(fmt::format("{} {} {}", request.method, request.target, request.body));
      if (request.path == "/large") co_return say(200, std::string(1 << 20, 'L'));
      co_return say(200, fmt::format("[{}]", request.path));
    }
    ServerResponse refuse(const ServerRequest&, const Refusal& refusal) override {
      return say(refusal.status, std::string(refusal.sentence));
    }
    void served(const Served& served) override {
      echo.statuses.push_back(served.response.status);
      echo.sent.push_back(served.bytes_sent);
    }
    static ServerResponse say(int status, std::string text) {
      ServerResponse response;
      response.status = status;
      response.content_type = "text/plain";
      response.text = std::move(text);
      return response;
    }
    Echo& echo;
  };
};

struct ServerConnectionTest : testing::Test {
  io::Loop loop;
  Echo echo;
  ConnectionTable table{loop.executor()};
  MemoryBudget memory{1 << 20};
  ServerSetting setting{.table = table, .service = echo, .memory = memory};
  Acceptor acceptor{loop.executor()};

  void SetUp() override {
    const tcp::endpoint any(asio::ip::address_v4::loopback(), 0);
    acceptor.open(any.protocol());
    acceptor.bind(any);
    acceptor.listen();
    asio::co_spawn(loop.executor(), table.watch(), asio::detached);
  }

  void TearDown() override {
    loop.run([](auto& connections) -> io::Task<> {
      connections.stop();
      connections.abort();
      while (connections.size() > 0) co_await connections.wait_for_change(io::Clock::now() + 1s);
    }(table));
  }

  // A client whose connection is being served.
  io::Task<ServerSocket> connect() {
    ServerSocket client(loop.executor());
    co_await client.async_connect(acceptor.local_endpoint(), io::use_task);
    ServerSocket accepted(loop.executor());
    co_await acceptor.async_accept(accepted, io::use_task);
    asio::co_spawn(loop.executor(), serve_connection(std::move(accepted), setting), asio::detached);
    co_return client;
  }
  static io::Task<> write(ServerSocket& client, std::string bytes) {
    (void)co_await asio::async_write(client, asio::buffer(bytes), asio::as_tuple(io::use_task));
  }
  // What comes until the server closes, or until `enough` is seen.
  static io::Task<std::string> read(ServerSocket& client, std::string enough = {}) {
    std::string all;
    std::string piece(65'536, '\0');
    while (enough.empty() || all.find(enough) == std::string::npos) {
      const auto [error, bytes] =
          co_await client.async_read_some(asio::buffer(piece), asio::as_tuple(io::use_task));
      if (error) break;
      all += piece.substr(0, bytes);
    }
    co_return all;
  }
  // Sends `bytes`, then no more; returns all that is answered.
  io::Task<std::string> ask(std::string bytes) {
    ServerSocket client = co_await connect();
    co_await write(client, std::move(bytes));
    client.shutdown(asio::socket_base::shutdown_send);
    co_return co_await read(client);
  }
};

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t times = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos;
       at = text.find(what, at + what.size())) {
    ++times;
  }
  return times;
}

TEST_F(ServerConnectionTest, AnswersWhatIsPipelinedInOrder) {
  const std::string answers = loop.run(
      ask("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"
          "PUT /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
          "PUT /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
          "HEAD /4 HTTP/1.1\r\nHost: h\r\n\r\n"
          "GET /5 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
          "GET /never HTTP/1.1\r\nHost: h\r\n\r\n"));
  EXPECT_EQ(echo.asked, (std::vector<std::string>{"GET /1 ", "PUT /2 hello", "PUT /3 abc",
                                                  "HEAD /4 ", "GET /5 "}));
  EXPECT_EQ(count(answers, "HTTP/1.1 200 OK\r\n"), 5u) << answers;
  EXPECT_LT(answers.find("[/1]"), answers.find("[/2]"));
  EXPECT_LT(answers.find("[/2]"), answers.find("[/3]"));
  EXPECT_LT(answers.find("[/3]"), answers.find("[/5]"));
  EXPECT_EQ(answers.find("[/4]"), std::string::npos) << "an answer to HEAD has no body";
  EXPECT_EQ(count(answers, "Connection: close"), 1u);
  EXPECT_EQ(table.size(), 0u);
}

TEST_F(ServerConnectionTest, AnswersHoweverTheBytesAreCut) {
  const std::string bytes =
      "PUT /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
      "PUT /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
      "GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  for (std::size_t step = 1; step < bytes.size(); step += 1 + step / 8) {
    echo.asked.clear();
    loop.run([](auto& test, const auto& all, auto piece) -> io::Task<> {
      ServerSocket client = co_await test.connect();
      client.set_option(tcp::no_delay(true));
      for (std::size_t at = 0; at < all.size(); at += piece) {
        co_await write(client, all.substr(at, piece));
        co_await io::yield();
      }
      co_await read(client);
    }(*this, bytes, step));
    EXPECT_EQ(echo.asked, (std::vector<std::string>{"PUT /1 hello", "PUT /2 abc", "GET /3 "}))
        << step;
  }
}

TEST_F(ServerConnectionTest, RefusesAndCloses) {
  const std::vector<std::pair<std::string, int>> cases{
      {"nonsense\r\n\r\n", 400},
      {"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n" + std::string(1001, 'x'), 413},
      {"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3E9\r\n", 413},
      {"GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(20'000, 'a'), 431},
  };
  for (const auto& [bytes, status] : cases) {
    echo.statuses.clear();
    const std::string answer = loop.run(ask(bytes + "GET /next HTTP/1.1\r\nHost: h\r\n\r\n"));
    EXPECT_TRUE(answer.starts_with(fmt::format("HTTP/1.1 {} ", status))) << answer;
    EXPECT_EQ(echo.statuses.at(0), status);
  }
}

TEST_F(ServerConnectionTest, AShortBodyThatIsNotWantedKeepsTheConnection) {
  const std::string answers =
      loop.run(ask("PUT /forbidden HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
                   "GET /next HTTP/1.1\r\nHost: h\r\n\r\n"));
  EXPECT_TRUE(answers.starts_with("HTTP/1.1 403 Forbidden\r\n"));
  EXPECT_NE(answers.find("[/next]"), std::string::npos);
  const std::string long_one =
      loop.run(ask("PUT /forbidden HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\nhello"));
  EXPECT_NE(long_one.find("Connection: close"), std::string::npos);
}

TEST_F(ServerConnectionTest, AnAnswerDoesNotWaitForTheBodyOfTheNextRequest) {
  setting.times.body = 2s;  // when a server that waits would give up
  const std::vector<std::string> unfinished{
      "PUT /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n",
      "PUT /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
      "PUT /forbidden HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n",
  };
  for (const std::string& next : unfinished) {
    const std::string first =
        loop.run([](auto& test, const std::string& request) -> io::Task<std::string> {
          ServerSocket client = co_await test.connect();
          co_await write(client, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n" + request);
          co_return co_await read(client, "[/1]");
        }(*this, next));
    EXPECT_TRUE(first.starts_with("HTTP/1.1 200 OK") && first.ends_with("[/1]")) << first;
  }
}

TEST_F(ServerConnectionTest, AnExceptionEndsOneConnectionAndIsTold) {
  echo.before = []() -> io::Task<> {
    throw std::runtime_error("broken");
    co_return;
  };
  EXPECT_EQ(loop.run(ask("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n")), "");
  EXPECT_EQ(echo.broken, std::vector<std::string>{"broken"});
  echo.before = {};
  EXPECT_NE(loop.run(ask("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n")).find("[/2]"), std::string::npos);
}

TEST_F(ServerConnectionTest, AnAnswerToHeadHasNoBody) {
  const std::string answers = loop.run(
      ask("HEAD /12345678 HTTP/1.1\r\nHost: h\r\n\r\nHEAD /large HTTP/1.1\r\nHost: h\r\n\r\n"));
  EXPECT_EQ(count(answers, "Content-Length: 11\r\n"), 1u) << answers;
  EXPECT_EQ(count(answers, "Content-Length: 1048576\r\n"), 1u) << answers;
  EXPECT_TRUE(answers.ends_with("\r\n\r\n")) << answers;
  EXPECT_EQ(count(answers, "\r\n\r\n"), 2u) << answers;
  EXPECT_EQ(echo.sent, (std::vector<std::uint64_t>{0, 0}));
}

TEST_F(ServerConnectionTest, AClientThatWaitsForContinueIsTold) {
  const std::string answers = loop.run([](auto& test) -> io::Task<std::string> {
    ServerSocket client = co_await test.connect();
    co_await write(
        client, "PUT /1 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    std::string all = co_await read(client, "\r\n\r\n");
    co_await write(client, "hi");
    all += co_await read(client, "[/1]");
    co_return all;
  }(*this));
  EXPECT_TRUE(answers.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")) << answers;
  EXPECT_EQ(echo.asked.at(0), "PUT /1 hi");
}

TEST_F(ServerConnectionTest, SlowClientsAreLeft) {
  setting.times = {.idle = 100ms, .header = 100ms, .body = 100ms};
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", ""},  // idle: closed without a word
      {"GET / HT", "HTTP/1.1 408 "},
      {"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe", "HTTP/1.1 408 "},
      {"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", "HTTP/1.1 408 "},
  };
  for (const auto& [bytes, answered] : cases) {
    const std::string answer = loop.run([](auto& test, auto sent) -> io::Task<std::string> {
      ServerSocket client = co_await test.connect();
      co_await write(client, sent);
      co_return co_await read(client);
    }(*this, bytes));
    if (answered.empty()) {
      EXPECT_EQ(answer, "") << bytes;
    } else {
      EXPECT_TRUE(answer.starts_with(answered)) << answer;
    }
  }
  EXPECT_TRUE(echo.asked.empty());
}

// A request that comes at the very moment at which its connection is given up is answered, and the
// connection has its time-outs as before.
TEST_F(ServerConnectionTest, TimeOutsGoOnAfterOneThatCameTooLate) {
  setting.times.idle = 100ms;
  bool both_sent = false;
  echo.before = [&]() -> io::Task<> {
    while (!both_sent) co_await io::yield();
  };
  loop.run([](auto& test, bool& sent) -> io::Task<> {
    ServerSocket client = co_await test.connect();
    co_await write(client, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < 100; ++i) co_await io::yield();  // the handler runs
    co_await write(client, "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    sent = true;
    // It becomes idle, and has read the second request, before it can be told.
    while (!test.table.drop_idle()) co_await io::yield();
    EXPECT_NE((co_await read(client, "[/2]")).find("[/2]"), std::string::npos);
    const io::Clock::time_point patience = io::Clock::now() + 20s;
    while (test.table.size() > 0 && io::Clock::now() < patience) {
      co_await test.table.wait_for_change(patience);
    }
    EXPECT_EQ(test.table.size(), 0u);
  }(*this, both_sent));
}

TEST_F(ServerConnectionTest, AReaderThatStandsStillIsLeftAndBlocksNobody) {
  setting.times.body = 100ms;
  setting.times.least_rate = 100u << 20;
  loop.run([](auto& test) -> io::Task<> {
    std::vector<ServerSocket> stuck;
    for (int i = 0; i < 3; ++i) {
      stuck.push_back(co_await test.connect());
      stuck.back().set_option(asio::socket_base::receive_buffer_size(4096));
      std::string many;
      for (int k = 0; k < 10; ++k) many += "GET /large HTTP/1.1\r\nHost: h\r\n\r\n";
      co_await write(stuck.back(), many);
    }
    ServerSocket client = co_await test.connect();
    co_await write(client, "GET /quick HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    EXPECT_NE((co_await read(client)).find("[/quick]"), std::string::npos);
    while (test.table.size() > 0) co_await test.table.wait_for_change(io::Clock::now() + 1s);
  }(*this));
}

TEST_F(ServerConnectionTest, BodiesTogetherStayWithinTheBudget) {
  echo.body_limit = 4 << 20;
  setting.times.room = 50ms;
  const auto put = [](std::size_t bytes) {
    return fmt::format("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", bytes);
  };
  loop.run([](auto& test, auto make) -> io::Task<> {
    // Half of the budget is held by a client that does not go on.
    ServerSocket holder = co_await test.connect();
    co_await write(holder, make(700'000) + "x");
    while (test.memory.in_use() == 0) co_await io::yield();
    EXPECT_EQ(test.memory.in_use(), 700'000u);
    ServerSocket second = co_await test.connect();
    co_await write(second, make(700'000));
    EXPECT_TRUE((co_await read(second, "\r\n\r\n")).starts_with("HTTP/1.1 503 "));
    // A small one is not concerned.
    ServerSocket small = co_await test.connect();
    co_await write(small, make(5) + "hello");
    EXPECT_TRUE((co_await read(small, "[/]")).starts_with("HTTP/1.1 200 "));
    holder.close();
    while (test.memory.in_use() > 0) co_await io::yield();
  }(*this, put));
}

TEST_F(ServerConnectionTest, AStopLetsRequestsEndAndClosesIdleConnections) {
  io::Event go(loop.executor());
  bool gone = false;
  echo.before = [&]() -> io::Task<> {
    while (!gone) co_await go.wait();
  };
  loop.run([](auto& test, auto& event, auto& ready) -> io::Task<> {
    ServerSocket idle = co_await test.connect();
    ServerSocket busy = co_await test.connect();
    co_await write(busy,
                   "GET /busy HTTP/1.1\r\nHost: h\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < 100; ++i) co_await io::yield();
    test.table.stop();
    EXPECT_EQ(co_await read(idle), "");
    ready = true;
    event.notify_all();
    const std::string answer = co_await read(busy);
    EXPECT_NE(answer.find("[/busy]"), std::string::npos) << answer;
    EXPECT_NE(answer.find("Connection: close"), std::string::npos) << answer;
    EXPECT_EQ(answer.find("[/next]"), std::string::npos) << answer;
    while (test.table.size() > 0) co_await test.table.wait_for_change(io::Clock::now() + 1s);
  }(*this, go, gone));
}

TEST_F(ServerConnectionTest, TheLongestIdleConnectionMakesRoom) {
  loop.run([](auto& test) -> io::Task<> {
    ServerSocket first = co_await test.connect();
    co_await io::sleep_for(300ms);  // the table's clock ticks
    ServerSocket second = co_await test.connect();
    for (int i = 0; i < 10; ++i) co_await io::yield();
    EXPECT_TRUE(test.table.drop_idle());
    EXPECT_EQ(co_await read(first), "");
    co_await write(second, "GET /2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    EXPECT_NE((co_await read(second)).find("[/2]"), std::string::npos);
    while (test.table.size() > 0) co_await test.table.wait_for_change(io::Clock::now() + 1s);
    EXPECT_FALSE(test.table.drop_idle());
  }(*this));
}

}  // namespace
}  // namespace sluice::http
