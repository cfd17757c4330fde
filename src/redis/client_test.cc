// The client against a server that answers as it is told, faults included. The real one is in
// store/redis/redis_store_test.cc.
#include "redis/client.h"

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

namespace sluice::redis {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::string_view kGreeted = "+OK\r\n$25\r\n# Server\r\nrun_id:abc123\r\n\r\n";
constexpr std::size_t kEnough = 1 << 20;

struct Answer {
  std::string bytes;
  bool close = false;
};

// A TCP server on the test's loop. `script` is called with each piece of text that arrives, which
// on the loopback is a whole round trip when it is short.
class Server {
 public:
  using Script = std::function<Answer(int connection, const std::string& received)>;

  Server(io::Loop& loop, Script script)
      : acceptor_(loop.context(), tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        script_(std::move(script)) {
    accept();
  }
  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  struct Peer {
    explicit Peer(tcp::socket accepted) : socket(std::move(accepted)) {}
    tcp::socket socket;
    std::array<char, 65536> buffer;
    std::string answer;
  };
  void accept() {
    acceptor_.async_accept([this](boost::system::error_code error, tcp::socket socket) {
      if (error) return;
      serve(std::make_shared<Peer>(std::move(socket)), connections_++);
      accept();
    });
  }
  void serve(const std::shared_ptr<Peer>& peer, int number) {
    peer->socket.async_read_some(
        asio::buffer(peer->buffer),
        [this, peer, number](boost::system::error_code error, std::size_t size) {
          if (error) return;
          Answer answer = script_(number, std::string(peer->buffer.data(), size));
          peer->answer = std::move(answer.bytes);
          asio::async_write(peer->socket, asio::buffer(peer->answer),
                            [this, peer, number, close = answer.close](auto failed, std::size_t) {
                              if (!failed && !close) serve(peer, number);
                            });
        });
  }

  tcp::acceptor acceptor_;
  Script script_;
  int connections_ = 0;
};

class RedisClientTest : public testing::Test {
 protected:
  void serve(Server::Script script) {
    server = std::make_unique<Server>(loop, [this, script](int number, const std::string& text) {
      seen.push_back(text);
      if (text.find("SETNAME") != std::string::npos) return Answer{greeting, hangs_up};
      return script(number, text);
    });
    Connection::Options options{.address = {.host = "127.0.0.1",
                                            .port = server->port(),
                                            .user = user,
                                            .password = Secret(password),
                                            .database = database},
                                .connect_timeout = timeout,
                                .timeout = timeout};
    client = std::make_unique<Client>(loop.executor(), gate, retrier, log, std::move(options));
  }
  // GET k, and the text of its reply.
  Result<std::string> call(bool divisible = false) {
    Commands commands;
    commands.add_command("GET", "k");
    const auto judge = [](Replies& replies,
                          const ServerFacts& server_facts) -> Result<std::string> {
      return fmt::format("{} from {}", replies.next().text, server_facts.run_id);
    };
    return loop.run(client->call(
        commands, {.doing = "testing", .divisible = divisible, .most_bytes = kEnough}, judge));
  }

  io::Loop loop;
  io::Stop stop{loop.executor()};
  Log log{LogLevel::off};
  flow::Gate gate{loop.executor(), stop, {}};
  flow::Retrier retrier{stop, {.attempts = 3, .base = std::chrono::milliseconds(1)}, 1};
  std::chrono::milliseconds timeout{10'000};
  std::string greeting{kGreeted};
  bool hangs_up = false;  // behind the greeting
  std::string user;
  std::string password;
  std::uint32_t database = 0;
  std::vector<std::string> seen;
  std::unique_ptr<Server> server;
  std::unique_ptr<Client> client;
};

TEST_F(RedisClientTest, KeepsItsConnection) {
  serve([](int, const std::string&) { return Answer{"$1\r\nv\r\n"}; });
  for (int i = 0; i < 5; ++i) EXPECT_EQ(call().value_or("failed"), "v from abc123");
  EXPECT_EQ(server->connections(), 1);
  EXPECT_EQ(gate.stats().sent, 5u);
  EXPECT_EQ(client->traffic().bytes_received, kGreeted.size() + 5 * 7);
}

TEST_F(RedisClientTest, AStopEndsTheWaitForAGreeting) {
  timeout = std::chrono::hours(1);
  greeting = "";
  serve([](int, const std::string&) { return Answer{""}; });
  io::Timer timer(loop.executor(), std::chrono::milliseconds(50));
  timer.async_wait([this](const boost::system::error_code&) {
    stop.request({ErrorCode::deadline, Retry::never, std::nullopt, "the deadline is over"});
  });
  const auto answer = call();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::deadline);
}

TEST_F(RedisClientTest, GreetsWithUserPasswordAndDatabase) {
  user = "me";
  password = "s3cret";
  database = 7;
  greeting = "+OK\r\n+OK\r\n" + std::string(kGreeted);
  serve([](int, const std::string&) { return Answer{"$1\r\nv\r\n"}; });
  EXPECT_TRUE(call());
  EXPECT_TRUE(
      seen[0].starts_with("*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\ns3cret\r\n"
                          "*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n"));
}

// An AUTH that has been renamed comes back with its arguments.
TEST_F(RedisClientTest, MessagesNeverHoldThePassword) {
  password = "s3cret";
  greeting = "-ERR unknown command 'AUTH', with args beginning with: 's3cret' 's3cret'\r\n" +
             std::string(kGreeted);
  serve([](int, const std::string&) { return Answer{}; });
  const auto answer = call();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message.find("s3cret"), std::string::npos) << answer.error().message;
  EXPECT_NE(answer.error().message.find("***"), std::string::npos) << answer.error().message;
  EXPECT_EQ(server->connections(), 1) << "fatal: not tried again";
}

// Nor the last words of one that hangs up, as proxies do that know no AUTH.
TEST_F(RedisClientTest, LastWordsNeverHoldThePassword) {
  password = "s3cret";
  greeting = "-ERR unknown command 'AUTH', with args beginning with: 's3cret'\r\n";
  hangs_up = true;
  serve([](int, const std::string&) { return Answer{}; });
  const auto answer = call();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message.find("s3cret"), std::string::npos) << answer.error().message;
  EXPECT_NE(answer.error().message.find("***"), std::string::npos) << answer.error().message;
}

TEST_F(RedisClientTest, DoesWithoutWhatAGreetingMayBeRefused) {
  greeting = "-NOPERM this user has no permissions\r\n-ERR unknown command 'INFO'\r\n";
  serve([](int, const std::string&) { return Answer{"$1\r\nv\r\n"}; });
  EXPECT_EQ(call().value_or("failed"), "v from ");
}

TEST_F(RedisClientTest, AStopEndsTheOpeningOfAConnection) {
  greeting = "";
  serve([](int, const std::string&) { return Answer{}; });
  io::Timer timer(loop.executor(), std::chrono::milliseconds(50));
  timer.async_wait([&](boost::system::error_code) {
    stop.request({ErrorCode::deadline, Retry::never, std::nullopt, "the deadline is over"});
  });
  const auto begun = io::Clock::now();
  const auto answer = call();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::deadline);
  EXPECT_LT(io::Clock::now() - begun, std::chrono::seconds(5));
}

TEST_F(RedisClientTest, AConnectionThatBreaksIsOpenedAnew) {
  for (const std::string begun : {"", "$10\r\nhalf"}) {
    int calls = 0;
    serve([&](int, const std::string&) {
      return ++calls == 1 ? Answer{begun, true} : Answer{"$1\r\nv\r\n"};
    });
    EXPECT_EQ(call().value_or("failed"), "v from abc123");
    EXPECT_EQ(server->connections(), 2);
  }
  EXPECT_EQ(retrier.retries, 2u);
}

TEST_F(RedisClientTest, AConnectionThatTheServerClosedMeanwhileIsNotUsed) {
  serve([&](int, const std::string&) { return Answer{"$1\r\nv\r\n", true}; });
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(call());
    loop.run(io::sleep_for(std::chrono::milliseconds(5)));
  }
  EXPECT_EQ(retrier.retries, 0u);
}

TEST_F(RedisClientTest, TheLastWordsOfAServerAreItsError) {
  serve([&](int, const std::string&) {
    return Answer{"-ERR Protocol error: invalid bulk length\r\n", true};
  });
  Commands commands;
  commands.add_command("GET", "k");
  commands.add_command("GET", "k");
  const auto judge = [](Replies&, const ServerFacts&) -> Result<> { return {}; };
  const auto answer = loop.run(client->call(
      commands, {.doing = "testing", .divisible = true, .most_bytes = kEnough}, judge));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::too_large);
  EXPECT_EQ(answer.error().retry, Retry::smaller);
}

TEST_F(RedisClientTest, TooManyClientsMayPass) {
  greeting = "-ERR max number of clients reached\r\n";
  int tries = 0;
  server = std::make_unique<Server>(loop, [&](int, const std::string& text) {
    if (text.find("SETNAME") == std::string::npos) return Answer{"$1\r\nv\r\n"};
    return ++tries < 3 ? Answer{greeting, true} : Answer{std::string(kGreeted)};
  });
  client = std::make_unique<Client>(
      loop.executor(), gate, retrier, log,
      Connection::Options{.address = {.host = "127.0.0.1", .port = server->port()}});
  EXPECT_EQ(call().value_or("failed"), "v from abc123");
  EXPECT_EQ(retrier.retries, 2u);
}

TEST_F(RedisClientTest, WhatIsNoRedisIsNamed) {
  greeting = "HTTP/1.1 400 Bad Request\r\n\r\n";
  serve([](int, const std::string&) { return Answer{}; });
  const auto answer = call();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::protocol);
  EXPECT_NE(answer.error().message.find("127.0.0.1"), std::string::npos);
}

TEST_F(RedisClientTest, AnAnswerBeyondItsBoundIsTooLarge) {
  serve([](int, const std::string&) {
    return Answer{"$2000000\r\n" + std::string(2'000'000, 'x') + "\r\n"};
  });
  EXPECT_EQ(call(true).error().retry, Retry::smaller);
  const auto answer = call(false);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::too_large);
  EXPECT_EQ(answer.error().retry, Retry::never) << "it cannot be split";
}

TEST_F(RedisClientTest, SilenceIsATimeOut) {
  timeout = std::chrono::milliseconds(100);
  serve([](int, const std::string&) { return Answer{}; });
  EXPECT_EQ(call(true).error().retry, Retry::smaller);
  EXPECT_EQ(server->connections(), 1);
  const auto answer = call(false);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::timeout);
  EXPECT_EQ(server->connections(), 4) << "tried again, each time anew";
}

TEST_F(RedisClientTest, AGreetingThatDoesNotComeIsATimeOut) {
  timeout = std::chrono::milliseconds(50);
  greeting = "";
  serve([](int, const std::string&) { return Answer{}; });
  const auto answer = call();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::timeout);
}

// The greeting asks for nothing that could be half done, so a request ends it; a round trip ends
// when the stop is abandoned.
TEST_F(RedisClientTest, AStopEndsTheGreetingAndAbandonedARoundTrip) {
  for (const bool greets : {false, true}) {
    timeout = std::chrono::milliseconds(600'000);
    greeting = greets ? kGreeted : "";
    seen.clear();
    serve([](int, const std::string&) { return Answer{}; });
    io::Stop own(loop.executor());
    flow::Gate own_gate(loop.executor(), own, {});
    flow::Retrier own_retrier(own, {.attempts = 3, .base = std::chrono::milliseconds(1)}, 1);
    Client waiting(
        loop.executor(), own_gate, own_retrier, log,
        {.address = {.host = "127.0.0.1", .port = server->port()}, .connect_timeout = timeout});
    Commands commands;
    commands.add_command("GET", "k");
    const auto judge = [](Replies&, const ServerFacts&) -> Result<> { return {}; };
    const RoundTrip about{.doing = "testing", .divisible = true, .most_bytes = kEnough};
    const auto both = [&]() -> io::Task<Result<>> {
      auto asked = io::start(loop.executor(), waiting.call(commands, about, judge));
      while (seen.size() < (greets ? 2u : 1u)) {
        co_await io::sleep_for(std::chrono::milliseconds(1));
      }
      own.request({ErrorCode::interrupted, Retry::fatal, std::nullopt, "enough"});
      co_await io::sleep_for(std::chrono::milliseconds(20));
      EXPECT_EQ(asked.ready(), !greets);
      own.abandon();
      co_return co_await asked.get();
    };
    const Result<> answer = loop.run(both());
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::interrupted);
    if (greets) {
      EXPECT_EQ(answer.error().retry, Retry::never);
      EXPECT_EQ(
          answer.error().message,
          fmt::format("enough; Redis at 127.0.0.1:{} had not answered by then.", server->port()));
    } else {
      EXPECT_EQ(answer.error().message, "enough");
    }
    EXPECT_EQ(server->connections(), 1);
    EXPECT_EQ(own_gate.stats().in_flight, 0u);
  }
}

TEST_F(RedisClientTest, ALeaseKeepsOneConnection) {
  serve([](int number, const std::string&) { return Answer{fmt::format("$1\r\n{}\r\n", number)}; });
  Commands commands;
  commands.add_command("GET", "k");
  const RoundTrip about{.doing = "testing", .divisible = false, .most_bytes = kEnough};
  bool discard = true;
  const auto operation = [&](Client::Lease& lease) -> io::Task<Result<std::string>> {
    std::string all;
    for (int i = 0; i < 3; ++i) {
      auto replies = co_await lease.round_trip(commands, about);
      if (!replies) co_return std::unexpected(replies.error());
      all += replies->next().text;
      // Another call in between takes another one.
      const auto judge = [](Replies& own, const ServerFacts&) -> Result<std::string> {
        return std::string(own.next().text);
      };
      auto other = co_await client->call(commands, about, judge);
      all += other ? *other : "failed";
    }
    if (discard) lease.discard();
    co_return all;
  };
  EXPECT_EQ(loop.run(client->call_with_lease(operation)).value_or("failed"), "010101");
  discard = false;
  EXPECT_EQ(loop.run(client->call_with_lease(operation)).value_or("failed"), "121212");
}

}  // namespace
}  // namespace sluice::redis
