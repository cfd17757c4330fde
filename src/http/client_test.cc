#include "http/client.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "http/scripted_server.h"
#include "io/task_group.h"

namespace sluice::http {
namespace {

using namespace std::chrono_literals;
using Answer = std::expected<Response, Failure>;

struct ClientTest : testing::Test {
  io::Loop loop;
  Client::Options options{.timeout = 5s, .stall = 0ms};

  Answer send(Client& client, const Request& request) { return loop.run(client.send(request)); }
};

TEST_F(ClientTest, SendsWhatItIsGivenAndReturnsTheAnswer) {
  ScriptedServer server(
      loop, [](const SeenRequest&) { return reply(201, "made", "X-One: 1\r\nx-two:  two \r\n"); });
  Client client(loop.executor(), options);
  Request request{.method = "PUT", .url = server.url() + "/a/..%2Fb?x=1"};
  request.headers.add("Authorization", "Bearer t");
  request.body = std::string("b\0dy", 4);
  request.content_type = "application/json";
  const Answer answer = send(client, request);
  ASSERT_TRUE(answer) << answer.error().error.message;
  EXPECT_EQ(answer->status, 201);
  EXPECT_EQ(answer->body, "made");
  EXPECT_EQ(answer->headers.find("x-ONE"), "1");
  EXPECT_EQ(answer->headers.find("X-Two"), "two");
  EXPECT_EQ(answer->headers.find("absent"), std::nullopt);
  ASSERT_EQ(server.seen().size(), 1u);
  const SeenRequest& seen = server.seen()[0];
  EXPECT_EQ(seen.method, "PUT");
  EXPECT_EQ(seen.target, "/a/..%2Fb?x=1");
  EXPECT_EQ(seen.body, std::string("b\0dy", 4));
  EXPECT_EQ(seen.header("authorization"), "Bearer t");
  EXPECT_EQ(seen.header("content-type"), "application/json");
  EXPECT_EQ(seen.header("user-agent"), "sluice");
  EXPECT_NE(seen.header("accept-encoding").find("gzip"), std::string::npos);
  EXPECT_EQ(client.traffic().requests, 1u);
  EXPECT_GT(client.traffic().bytes_sent, 4u);
  EXPECT_GT(client.traffic().bytes_received, 4u);
}

TEST_F(ClientTest, DoesNotWaitForContinueWithALargeBody) {
  ScriptedServer server(loop, [](const SeenRequest&) { return json("{}"); });
  Client client(loop.executor(), options);
  const Request request{.method = "POST", .url = server.url(), .body = std::string(3u << 20, 'x')};
  const Answer answer = send(client, request);
  ASSERT_TRUE(answer) << answer.error().error.message;
  EXPECT_EQ(server.seen()[0].body.size(), 3u << 20);
  EXPECT_EQ(server.seen()[0].header("expect"), "");
}

TEST_F(ClientTest, KeepsConnections) {
  ScriptedServer server(loop, [](const SeenRequest&) { return json("{}"); });
  Client client(loop.executor(), options);
  const Request request{.url = server.url()};
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(send(client, request));
  EXPECT_EQ(server.connections(), 1u);
}

TEST_F(ClientTest, SendsSideBySide) {
  ScriptedServer server(loop, [](const SeenRequest& seen) {
    Reply answer = json(seen.target);
    answer.delay = 20ms;
    return answer;
  });
  Client client(loop.executor(), options);
  const auto one = [&](int number, int& right) -> io::Task<> {
    const Request request{.url = fmt::format("{}/{}", server.url(), number)};
    const Answer answer = co_await client.send(request);
    right += answer && answer->body == fmt::format("/{}", number) ? 1 : 0;
  };
  int right = 0;
  const auto all = [&]() -> io::Task<> {
    io::TaskGroup group(loop.executor(), 8);
    for (int i = 0; i < 40; ++i) co_await group.spawn(one(i, right));
    co_await group.join();
  };
  loop.run(all());
  EXPECT_EQ(right, 40);
  EXPECT_EQ(server.connections(), 8u);
}

TEST_F(ClientTest, ReadsChunkedAndCompressedBodies) {
  std::string packed(1000, '\0');
  z_stream stream{};
  ASSERT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string text(100'000, 'a');
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  ASSERT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);

  ScriptedServer server(loop, [&](const SeenRequest& seen) -> Reply {
    if (seen.target == "/gzip") return reply(200, packed, "Content-Encoding: gzip\r\n");
    return {.bytes =
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"};
  });
  Client client(loop.executor(), options);
  EXPECT_EQ(send(client, {.url = server.url() + "/"})->body, "abcde");
  EXPECT_EQ(send(client, {.url = server.url() + "/gzip"})->body, text);
}

TEST_F(ClientTest, SkipsInterimAnswers) {
  ScriptedServer server(loop, [](const SeenRequest&) -> Reply {
    return {.bytes =
                "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};
  });
  Client client(loop.executor(), options);
  const Answer answer = send(client, {.url = server.url()});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->headers.find("link"), std::nullopt);
}

TEST_F(ClientTest, AnAbandonedStopCutsWhatIsUnderWay) {
  ScriptedServer server(loop, [](const SeenRequest& seen) -> Reply {
    if (seen.target == "/silent") return {.stall = true};
    if (seen.target == "/half") {
      return {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", .stall = true};
    }
    return json("{}");
  });
  options.timeout = 600s;
  io::Stop stop(loop.executor());
  Client client(loop.executor(), options, &stop);
  const auto all = [&]() -> io::Task<> {
    const Request silent{.method = "POST", .url = server.url() + "/silent", .body = "x"};
    const Request half{.url = server.url() + "/half"};
    const Request quick{.url = server.url() + "/quick"};
    auto first = io::start(loop.executor(), client.send(silent));
    auto second = io::start(loop.executor(), client.send(half));
    while (server.seen().size() < 2) co_await io::sleep_for(1ms);
    stop.request({ErrorCode::deadline, Retry::fatal, std::nullopt, "too late"});
    // What is on the wire, and what was let in before, may end.
    const Answer last = co_await client.send(quick);
    EXPECT_TRUE(last);
    EXPECT_FALSE(first.ready());
    EXPECT_FALSE(second.ready());
    stop.abandon();
    for (auto* cut : {&first, &second}) {
      const Answer answer = co_await cut->get();
      EXPECT_FALSE(answer);
      if (answer) continue;
      EXPECT_EQ(answer.error().error.code, ErrorCode::deadline);
      EXPECT_EQ(answer.error().error.retry, Retry::never);
      EXPECT_EQ(answer.error().error.message,
                fmt::format("too late; 127.0.0.1:{} had not answered by then.", server.port()));
      EXPECT_EQ(answer.error().fate, RequestFate::unknown);
    }
    const Answer late = co_await client.send(quick);
    EXPECT_FALSE(late);
    if (!late) EXPECT_EQ(late.error().fate, RequestFate::not_sent);
  };
  loop.run(all());
  EXPECT_EQ(server.seen().size(), 3u);
  EXPECT_EQ(client.traffic().requests, 3u);
}

TEST_F(ClientTest, DoesNotFollowRedirects) {
  ScriptedServer server(
      loop, [&](const SeenRequest&) { return reply(302, "", "Location: /elsewhere\r\n"); });
  Client client(loop.executor(), options);
  EXPECT_EQ(send(client, {.url = server.url()})->status, 302);
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST_F(ClientTest, RefusesWhatIsLargerThanTheLimit) {
  ScriptedServer server(loop, [](const SeenRequest& seen) -> Reply {
    if (seen.target == "/claimed") {
      return {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n", .stall = true};
    }
    if (seen.target == "/exact") return reply(200, std::string(1000, 'x'));
    std::string chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int i = 0; i < 2; ++i) chunks += "1f5\r\n" + std::string(501, 'x') + "\r\n";
    return {.bytes = chunks + "0\r\n\r\n"};
  });
  options.largest_response = 1000;
  Client client(loop.executor(), options);
  for (const std::string_view path : {"/claimed", "/chunked"}) {
    const Answer answer = send(client, {.url = server.url() + std::string(path)});
    ASSERT_FALSE(answer) << path;
    EXPECT_EQ(answer.error().error.code, ErrorCode::too_large) << path;
    EXPECT_EQ(answer.error().error.retry, Retry::smaller) << path;
    EXPECT_EQ(answer.error().fate, RequestFate::unknown) << path;
  }
  EXPECT_EQ(send(client, {.url = server.url() + "/exact"})->body.size(), 1000u);
}

TEST_F(ClientTest, BoundsHeaders) {
  ScriptedServer server(loop, [](const SeenRequest&) -> Reply {
    std::string bytes = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 40; ++i) bytes += fmt::format("X-{}: {}\r\n", i, std::string(10'000, 'h'));
    return {.bytes = bytes + "Content-Length: 0\r\n\r\n"};
  });
  Client client(loop.executor(), options);
  const Answer answer = send(client, {.url = server.url()});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().error.code, ErrorCode::protocol);
}

TEST_F(ClientTest, RefusedConnectionWasNotSent) {
  std::string url;
  {
    ScriptedServer server(loop, [](const SeenRequest&) { return cut(); });
    url = server.url();
  }
  Client client(loop.executor(), options);
  const Answer answer = send(client, {.method = "POST", .url = url});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().error.code, ErrorCode::network);
  EXPECT_EQ(answer.error().error.retry, Retry::again);
  EXPECT_EQ(answer.error().fate, RequestFate::not_sent);
  EXPECT_EQ(client.traffic().requests, 0u);
}

TEST_F(ClientTest, CutBeforeTheAnswerOnAFreshConnectionIsUnknown) {
  ScriptedServer server(loop, [](const SeenRequest&) { return cut(); });
  Client client(loop.executor(), options);
  const Answer answer = send(client, {.url = server.url()});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().error.code, ErrorCode::network);
  EXPECT_EQ(answer.error().fate, RequestFate::unknown);
  EXPECT_EQ(server.seen().size(), 1u);
}

// curl would send it again by itself, unseen by the gate.
TEST_F(ClientTest, CutBeforeTheAnswerOnAKeptConnectionIsStaleAndSentOnce) {
  ScriptedServer server(
      loop, [](const SeenRequest& seen) { return seen.target == "/cut" ? cut() : json("{}"); });
  Client client(loop.executor(), options);
  ASSERT_TRUE(send(client, {.url = server.url()}));
  const Answer answer = send(client, {.method = "PUT", .url = server.url() + "/cut", .body = "x"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().fate, RequestFate::stale);
  EXPECT_EQ(answer.error().error.retry, Retry::again);
  EXPECT_EQ(server.seen().size(), 2u);
  EXPECT_EQ(client.traffic().requests, 2u);
}

TEST_F(ClientTest, NotIdempotentRequestsGetAFreshConnection) {
  ScriptedServer server(
      loop, [](const SeenRequest& seen) { return seen.target == "/cut" ? cut() : json("{}"); });
  Client client(loop.executor(), options);
  ASSERT_TRUE(send(client, {.url = server.url()}));
  const Answer answer = send(
      client, {.method = "POST", .url = server.url() + "/cut", .body = "x", .idempotent = false});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().fate, RequestFate::unknown);
  ASSERT_EQ(server.seen().size(), 2u);
  EXPECT_EQ(server.seen()[1].connection, 1u);
}

TEST_F(ClientTest, CutInTheMiddleOfTheAnswer) {
  ScriptedServer server(loop, [](const SeenRequest&) -> Reply {
    return {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", .close = true};
  });
  Client client(loop.executor(), options);
  const Answer answer = send(client, {.url = server.url()});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().error.code, ErrorCode::network);
  EXPECT_EQ(answer.error().fate, RequestFate::unknown);
}

TEST_F(ClientTest, TimesOut) {
  ScriptedServer server(loop, [](const SeenRequest&) { return Reply{.stall = true}; });
  options.timeout = 50ms;
  Client client(loop.executor(), options);
  const Answer answer = send(client, {.url = server.url()});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().error.code, ErrorCode::timeout);
  EXPECT_EQ(answer.error().fate, RequestFate::unknown);
}

TEST_F(ClientTest, NoticesAStall) {
  ScriptedServer server(loop, [](const SeenRequest&) -> Reply {
    return {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", .stall = true};
  });
  options.timeout = 1h;
  options.stall = 40ms;
  Client client(loop.executor(), options);
  const Answer answer = send(client, {.url = server.url()});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().error.code, ErrorCode::timeout);
  EXPECT_NE(answer.error().error.message.find("stood still"), std::string::npos);
}

// A service that works on its answer is not a stalled connection.
TEST_F(ClientTest, ASlowFirstByteIsNoStall) {
  ScriptedServer server(loop, [](const SeenRequest&) {
    Reply answer = json("{}");
    answer.delay = 200ms;
    return answer;
  });
  options.stall = 20ms;
  Client client(loop.executor(), options);
  EXPECT_TRUE(send(client, {.method = "POST", .url = server.url(), .body = "x"}));
}

TEST_F(ClientTest, RefusesLineBreaksInHeaders) {
  ScriptedServer server(loop, [](const SeenRequest&) { return json("{}"); });
  Client client(loop.executor(), options);
  Request request{.url = server.url()};
  request.headers.add("X", "a\r\nY: b");
  const Answer answer = send(client, request);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().error.code, ErrorCode::invalid_argument);
  EXPECT_TRUE(server.seen().empty());
}

TEST_F(ClientTest, RefusesOtherSchemes) {
  Client client(loop.executor(), options);
  const Answer answer = send(client, {.url = "file:///etc/passwd"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().error.code, ErrorCode::invalid_argument);
  EXPECT_EQ(answer.error().fate, RequestFate::not_sent);
}

TEST_F(ClientTest, AnswersThatAreNotHttp) {
  ScriptedServer server(loop, [](const SeenRequest&) -> Reply {
    return {.bytes = "SSH-2.0-OpenSSH\r\n", .close = true};
  });
  Client client(loop.executor(), options);
  const Answer answer = send(client, {.url = server.url()});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().error.code, ErrorCode::protocol);
}

TEST(LoopbackUrl, Table) {
  EXPECT_TRUE(is_loopback_url("http://127.0.0.1:80/x"));
  EXPECT_TRUE(is_loopback_url("http://localhost/x"));
  EXPECT_TRUE(is_loopback_url("http://[::1]:8787"));
  EXPECT_FALSE(is_loopback_url("http://127.example.org/"));
  EXPECT_FALSE(is_loopback_url("http://localhost.example.org/"));
  EXPECT_FALSE(is_loopback_url("http://localhost@example.org/"));
  EXPECT_FALSE(is_loopback_url("http://example.org/127.0.0.1"));
  EXPECT_FALSE(is_loopback_url("http://[::2]/"));
}

// The client goes away while a request is under way, as when a second Ctrl-C ends the run.
TEST(ClientLifetime, MayEndBeforeItsRequests) {
  auto loop = std::make_unique<io::Loop>();
  auto server = std::make_unique<ScriptedServer>(
      *loop, [](const SeenRequest&) { return Reply{.stall = true}; });
  auto client = std::make_unique<Client>(loop->executor(), Client::Options{});
  const Request request{.url = server->url()};
  const auto started = io::start(loop->executor(), client->send(request));
  const auto wait = []() -> io::Task<> { co_await io::sleep_for(30ms); };
  loop->run(wait());
  EXPECT_FALSE(started.ready());
  EXPECT_EQ(server->seen().size(), 1u);
}

}  // namespace
}  // namespace sluice::http
