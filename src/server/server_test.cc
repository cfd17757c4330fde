#include "server/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "http/client.h"
#include "server/access_log.h"
#include "server/admin.h"
#include "server/router_service.h"
#include "server/tls.h"

namespace sluice::server {
namespace {

using namespace std::chrono_literals;
using Answer = std::expected<http::Response, http::Failure>;

struct ServerTest : testing::Test {
  std::filesystem::path folder =
      std::filesystem::temp_directory_path() / fmt::format("sluice-server-{}", ::getpid());
  Log log{LogLevel::off};
  Metrics metrics;
  std::unique_ptr<AccessLog> access_log;
  std::vector<std::unique_ptr<Router>> routers;
  // What "/slow" waits for.
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  std::promise<void> slow_began;

  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::unique_ptr<Server> start(Server::Options options = {}) {
    options.listen = *parse_listen_address("127.0.0.1:0");
    auto server = Server::start(
        options,
        [this](const Server::Surroundings&) {
          Router& router = *routers.emplace_back(std::make_unique<Router>());
          add_routes(router);
          return std::make_unique<RouterService>(RouterService::Parts{
              .router = router, .metrics = metrics, .log = log, .access_log = access_log.get()});
        },
        log);
    EXPECT_TRUE(server) << server.error().message;
    return std::move(*server);
  }

  void add_routes(Router& router) {
    add_admin_routes(router, metrics, {.ready = []() -> io::Task<Result<>> {
                       co_return fail(ErrorCode::io, "the disk is gone");
                     }});
    router.add(
        {.method = "GET", .path = "/fails", .handler = [](Call&) -> io::Task<Result<Response>> {
           co_return fail(ErrorCode::io, "secret detail");
         }});
    router.add(
        {.method = "GET", .path = "/throws", .handler = [](Call&) -> io::Task<Result<Response>> {
           throw std::runtime_error("secret invariant");
           co_return Response{};
         }});
    router.add({.method = "GET",
                .path = "/guarded",
                .handler = [](Call&) -> io::Task<Result<Response>> { co_return Response{}; },
                .guard = [](Call& call) -> std::optional<Response> {
                  call.caller = "tester";
                  if (call.request.find("Authorization") == "Bearer t0ken") return std::nullopt;
                  Response refused;
                  refused.status = 401;
                  return refused;
                }});
    router.add({.method = "PUT",
                .path = "/body",
                .body_limit = 1000,
                .handler = [](Call&) -> io::Task<Result<Response>> { co_return Response{}; }});
    router.add(
        {.method = "GET", .path = "/slow", .handler = [this](Call&) -> io::Task<Result<Response>> {
           slow_began.set_value();
           while (gone.wait_for(0s) != std::future_status::ready) {
             co_await io::sleep_for(1ms);
           }
           co_return Response{};
         }});
  }

  static Answer get(const Server& server, std::string path, std::string token = {},
                    http::Client::Options options = {}, std::string scheme = "http") {
    io::Loop loop;
    http::Client client(loop.executor(), options);
    http::Request request{.url = fmt::format("{}://{}{}", scheme, server.address().text(), path)};
    if (!token.empty()) request.headers.add("Authorization", token);
    return loop.run(client.send(request));
  }
  static int status(const Server& server, std::string path, std::string token = {}) {
    const Answer answer = get(server, std::move(path), std::move(token));
    return answer ? answer->status : 0;
  }
};

// A client that says just what it is told, and waits long, but not for ever.
class Client {
 public:
  explicit Client(const Server& server) : socket_(context_) {
    socket_.connect(
        {boost::asio::ip::make_address(server.address().address), server.address().port});
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  boost::asio::ip::tcp::socket& socket() { return socket_; }

  void send(const std::string& bytes) {
    boost::system::error_code ignored;
    boost::asio::write(socket_, boost::asio::buffer(bytes), ignored);
  }
  // What comes next; "": the end of the connection.
  std::string read() {
    std::string bytes(4096, '\0');
    const ssize_t n = ::recv(socket_.native_handle(), bytes.data(), bytes.size(), 0);
    EXPECT_FALSE(n < 0 && errno == EAGAIN) << "neither bytes nor an end";
    bytes.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return bytes;
  }
  std::string ask(const std::string& path) {
    send(fmt::format("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", path));
    return read();
  }

 private:
  boost::asio::io_context context_;
  boost::asio::ip::tcp::socket socket_;
};

TEST_F(ServerTest, AnswersFromSeveralLoops) {
  const auto server = start({.threads = 3});
  EXPECT_NE(server->address().port, 0);
  std::vector<std::thread> clients;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      for (int k = 0; k < 10; ++k) good += status(*server, "/healthz") == 200 ? 1 : 0;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, 80);
  EXPECT_EQ(status(*server, "/readyz"), 503);
  EXPECT_EQ(status(*server, "/nope"), 404);
  EXPECT_EQ(status(*server, "/guarded"), 401);
  EXPECT_EQ(status(*server, "/guarded", "Bearer t0ken"), 200);
  for (const std::string path : {"/fails", "/throws"}) {
    const Answer failed = get(*server, path);
    ASSERT_TRUE(failed) << path;
    EXPECT_EQ(failed->status, 500) << path;
    EXPECT_EQ(failed->body.find("secret"), std::string::npos) << path;
  }
  const Answer text = get(*server, "/metrics");
  ASSERT_TRUE(text);
  EXPECT_NE(text->body.find("sluice_http_request_duration_seconds_count{method=\"GET\","
                            "route=\"/healthz\",status=\"200\"} 80"),
            std::string::npos)
      << text->body;
  EXPECT_NE(text->body.find("route=\"none\",status=\"404\"} 1"), std::string::npos);
  EXPECT_NE(text->body.find("sluice_http_requests_in_flight 1"), std::string::npos);
}

TEST_F(ServerTest, TheAccessLogTellsWhoAskedForWhatAndNoToken) {
  const std::string path = folder / "access.log";
  access_log = std::move(*AccessLog::open(path));
  auto server = start();
  EXPECT_EQ(status(*server, "/guarded?x=\"1\"", "Bearer t0ken"), 200);
  EXPECT_EQ(status(*server, "/guarded", "Bearer wr0ng"), 401);
  EXPECT_EQ(status(*server, "/nope"), 404);
  server.reset();
  access_log.reset();
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  const std::string lines = text.str();
  EXPECT_EQ(std::ranges::count(lines, '\n'), 3) << lines;
  EXPECT_NE(lines.find(R"("caller":"tester","method":"GET","target":"/guarded)"), std::string::npos)
      << lines;
  EXPECT_NE(lines.find(R"("status":401)"), std::string::npos);
  EXPECT_EQ(lines.find("t0ken"), std::string::npos);
  EXPECT_EQ(lines.find("wr0ng"), std::string::npos);
  struct stat mode{};
  ASSERT_EQ(::stat(path.c_str(), &mode), 0);
  EXPECT_EQ(mode.st_mode & 0777, 0600u);
}

TEST_F(ServerTest, TheAccessLogIsWrittenWithoutFurtherRequests) {
  const std::string path = folder / "access.log";
  access_log = std::move(*AccessLog::open(path));
  const auto server = start();
  EXPECT_EQ(status(*server, "/healthz"), 200);
  const auto patience = std::chrono::steady_clock::now() + 20s;
  while (std::filesystem::file_size(path) == 0 && std::chrono::steady_clock::now() < patience) {
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_GT(std::filesystem::file_size(path), 0u);
}

TEST_F(ServerTest, AReaderOfTheAccessLogThatStandsStillHoldsUpNobody) {
  const std::string path = folder / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const int reader = ::open(path.c_str(), O_RDWR);
  access_log = std::move(*AccessLog::open(path));
  const std::string target(1000, 'x');
  const std::size_t lines = 2 * AccessLog::kMost / target.size();
  for (std::size_t i = 0; i < lines; ++i) access_log->write({.target = target});
  std::string bytes(1 << 20, '\0');
  EXPECT_GT(::read(reader, bytes.data(), bytes.size()), 0);
  access_log.reset();  // which ends, too
  ::close(reader);
}

TEST_F(ServerTest, AStopLetsWhatIsUnderWayEnd) {
  const auto server = start();
  std::future<int> slow = std::async(std::launch::async, [&] { return status(*server, "/slow"); });
  slow_began.get_future().wait();
  std::future<bool> stopped = std::async(std::launch::async, [&] { return server->stop(60s); });
  // The listening socket goes at once.
  while (status(*server, "/healthz") != 0) std::this_thread::sleep_for(1ms);
  go.set_value();
  EXPECT_EQ(slow.get(), 200);
  EXPECT_TRUE(stopped.get());
}

TEST_F(ServerTest, WhatDoesNotEndWithinTheGraceIsCutOff) {
  const auto server = start();
  std::future<int> slow = std::async(std::launch::async, [&] { return status(*server, "/slow"); });
  slow_began.get_future().wait();
  std::future<bool> stopped = std::async(std::launch::async, [&] { return server->stop(50ms); });
  EXPECT_EQ(slow.get(), 0) << "no answer";
  go.set_value();
  EXPECT_FALSE(stopped.get());
}

TEST_F(ServerTest, AnAddressThatIsTakenIsRefused) {
  const auto server = start({.threads = 2});
  Server::Options options{.listen = server->address()};
  const auto second = Server::start(
      options,
      [](const Server::Surroundings&) -> Result<std::unique_ptr<http::Service>> { return nullptr; },
      log);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find(server->address().text()), std::string::npos);
}

TEST_F(ServerTest, AnIdleConnectionStaysUntilItsPlaceIsNeeded) {
  const auto server = start({.threads = 1, .connections = 1});
  Client first(*server);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(first.ask("/healthz").starts_with("HTTP/1.1 200 ")) << i;
  Client second(*server);
  EXPECT_TRUE(second.ask("/healthz").starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(first.read(), "") << "it has made room";
}

TEST_F(ServerTest, SpeaksTls) {
  const std::string key = folder / "key.pem";
  const std::string certificate = folder / "cert.pem";
  const std::string make = fmt::format(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
      "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout {} -out {} "
      ">/dev/null 2>&1",
      key, certificate);
  ASSERT_EQ(std::system(make.c_str()), 0);
  ::chmod(key.c_str(), 0644);
  const auto open_key = make_tls(certificate, key);
  ASSERT_FALSE(open_key);
  EXPECT_NE(open_key.error().message.find("chmod"), std::string::npos);
  ::chmod(key.c_str(), 0600);
  EXPECT_FALSE(make_tls(key, key));
  EXPECT_FALSE(make_tls(folder / "absent", key));
  auto tls = make_tls(certificate, key);
  ASSERT_TRUE(tls) << tls.error().message;
  const auto server = start({.times = {.body = 100ms}, .tls = std::move(*tls)});
  const std::string command = fmt::format("curl -sf --cacert {} https://{}/healthz -o {}/answer",
                                          certificate, server->address().text(), folder.string());
  EXPECT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(std::filesystem::file_size(folder / "answer"), 3u);
  EXPECT_EQ(status(*server, "/healthz"), 0) << "plain text is not answered";

  // A client that sends half a body, and after the refusal does not end its side of TLS either.
  Client client(*server);
  namespace ssl = boost::asio::ssl;
  ssl::context any(ssl::context::tls_client);
  ssl::stream<boost::asio::ip::tcp::socket&> stream(client.socket(), any);
  stream.handshake(ssl::stream_base::client);
  const std::string half = "PUT /body HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe";
  boost::asio::write(stream, boost::asio::buffer(half));
  while (!client.read().empty()) continue;  // encrypted: the answer, the end of TLS, the end
}

}  // namespace
}  // namespace sluice::server
