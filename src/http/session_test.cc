#include "http/session.h"

#include <gtest/gtest.h>

#include "http/scripted_server.h"

namespace sluice::http {
namespace {

using namespace std::chrono_literals;

struct SessionTest : testing::Test {
  io::Loop loop;
  io::Stop stop{loop.executor()};
  Log log{LogLevel::off};
  flow::Gate gate{loop.executor(), stop, {}};
  flow::Retrier retrier{stop, {.attempts = 4, .base = 1ms, .longest = 2ms}, 1};
  Client client{loop.executor(), {.timeout = 2s}};

  Session session(const ScriptedServer& server) {
    Session::Options options{.service = "The service", .base_url = server.url() + "/v4"};
    options.credentials.push_back({"Authorization", Secret("Bearer s3cret")});
    return Session(client, gate, retrier, log, std::move(options));
  }

  // A call whose judge accepts any 2xx.
  Result<std::string> call(const ScriptedServer& server, Request request) {
    Session service = session(server);
    const auto judge = [&](Response& response) -> Result<std::string> {
      if (response.status / 100 == 2) return std::move(response.body);
      return std::unexpected(service.status_error(response, "testing"));
    };
    return loop.run(service.call(std::move(request), judge));
  }
};

TEST_F(SessionTest, AddsBaseUrlAndCredentials) {
  ScriptedServer server(loop, [](const SeenRequest&) { return json("yes"); });
  EXPECT_EQ(call(server, {.url = "/x?y=z"}), "yes");
  ASSERT_EQ(server.seen().size(), 1u);
  EXPECT_EQ(server.seen()[0].target, "/v4/x?y=z");
  EXPECT_EQ(server.seen()[0].header("authorization"), "Bearer s3cret");
}

TEST_F(SessionTest, RepeatsWhatMayPass) {
  int calls = 0;
  ScriptedServer server(loop, [&](const SeenRequest&) {
    return ++calls < 4 ? reply(calls == 1 ? 500 : 503, "busy") : json("yes");
  });
  EXPECT_EQ(call(server, {.method = "PUT", .url = "/", .body = "same"}), "yes");
  ASSERT_EQ(server.seen().size(), 4u);
  EXPECT_EQ(server.seen()[3].body, "same");
  EXPECT_EQ(retrier.retries, 3u);
  EXPECT_EQ(gate.stats().sent, 4u);
  EXPECT_EQ(gate.stats().in_flight, 0u);
}

TEST_F(SessionTest, StatusTable) {
  struct Case {
    int status;
    ErrorCode code;
    Retry retry;
  };
  const Case cases[] = {
      {302, ErrorCode::protocol, Retry::never},
      {400, ErrorCode::invalid_argument, Retry::never},
      {401, ErrorCode::unauthorized, Retry::fatal},
      {403, ErrorCode::unauthorized, Retry::fatal},
      {404, ErrorCode::not_found, Retry::never},
      {408, ErrorCode::timeout, Retry::again},
      {409, ErrorCode::conflict, Retry::never},
      {413, ErrorCode::too_large, Retry::smaller},
      {429, ErrorCode::throttled, Retry::again},
      {500, ErrorCode::unavailable, Retry::again},
      {501, ErrorCode::unsupported, Retry::never},
      {502, ErrorCode::unavailable, Retry::again},
      {503, ErrorCode::unavailable, Retry::again},
      {504, ErrorCode::timeout, Retry::again},
      {520, ErrorCode::unavailable, Retry::again},
      {524, ErrorCode::timeout, Retry::again},
  };
  ScriptedServer server(loop, [](const SeenRequest&) { return cut(); });
  const Session service = session(server);
  for (const Case& test : cases) {
    Response response;
    response.status = test.status;
    const Error error = service.status_error(response, "testing");
    EXPECT_EQ(error.code, test.code) << test.status;
    EXPECT_EQ(error.retry, test.retry) << test.status;
  }
}

TEST_F(SessionTest, RefinesByTheNatureOfTheRequest) {
  const auto refined = [](ErrorCode code, Retry retry, const Request& request, bool surely_not) {
    Error error{code, retry, std::nullopt, ""};
    refine(error, request, surely_not);
    return error.retry;
  };
  const Request plain;
  const Request batch{.divisible = true};
  const Request once{.idempotent = false};
  EXPECT_EQ(refined(ErrorCode::timeout, Retry::again, plain, false), Retry::again);
  EXPECT_EQ(refined(ErrorCode::timeout, Retry::again, batch, false), Retry::smaller);
  EXPECT_EQ(refined(ErrorCode::too_large, Retry::smaller, batch, false), Retry::smaller);
  EXPECT_EQ(refined(ErrorCode::too_large, Retry::smaller, plain, false), Retry::never);
  EXPECT_EQ(refined(ErrorCode::unavailable, Retry::again, once, false), Retry::never);
  EXPECT_EQ(refined(ErrorCode::unavailable, Retry::again, once, true), Retry::again);
  EXPECT_EQ(refined(ErrorCode::unauthorized, Retry::fatal, once, false), Retry::fatal);
  // Given up by a stop: only who may not repeat it needs to be told.
  for (const bool surely_not : {false, true}) {
    for (const Request& request : {plain, once}) {
      Error error{ErrorCode::deadline, Retry::never, std::nullopt, "too late"};
      refine(error, request, surely_not);
      EXPECT_EQ(error.code, ErrorCode::deadline);
      EXPECT_EQ(error.retry, Retry::never);
      EXPECT_EQ(error.message.find("not known") != std::string::npos,
                !request.idempotent && !surely_not);
    }
  }
}

TEST_F(SessionTest, A524OfABatchAsksForASmallerOne) {
  ScriptedServer server(loop, [](const SeenRequest&) { return reply(524, "<html>slow</html>"); });
  const auto answer = call(server, {.method = "PUT", .url = "/", .body = "b", .divisible = true});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().retry, Retry::smaller);
  EXPECT_EQ(server.seen().size(), 1u);
  EXPECT_EQ(answer.error().message.find("html"), std::string::npos);
}

TEST_F(SessionTest, HonoursRetryAfterAndTellsTheGate) {
  int calls = 0;
  std::vector<io::Clock::time_point> times;
  ScriptedServer server(loop, [&](const SeenRequest&) {
    times.push_back(io::Clock::now());
    return ++calls == 1 ? reply(429, "<html>", "Retry-After: 1\r\n") : json("yes");
  });
  EXPECT_EQ(call(server, {.method = "POST", .url = "/", .idempotent = false}), "yes");
  ASSERT_EQ(times.size(), 2u);
  EXPECT_GE(times[1] - times[0], 1s);
  EXPECT_EQ(gate.stats().throttled, 1u);
}

TEST_F(SessionTest, RepeatsOnceAtOnceOnAStaleConnectionThroughTheGate) {
  std::size_t cuts = 0;
  ScriptedServer server(loop, [&](const SeenRequest& seen) {
    if (seen.target == "/v4/cut" && cuts == 0) {
      ++cuts;
      return cut();
    }
    return json("yes");
  });
  EXPECT_EQ(call(server, {.url = "/"}), "yes");
  EXPECT_EQ(call(server, {.url = "/cut"}), "yes");
  EXPECT_EQ(server.seen().size(), 3u);
  EXPECT_EQ(gate.stats().sent, 3u);
  EXPECT_EQ(retrier.retries, 0u);
}

TEST_F(SessionTest, DoesNotRepeatWhatMayHaveBeenDone) {
  ScriptedServer server(loop, [&](const SeenRequest&) { return cut(); });
  const auto answer = call(server, {.method = "POST", .url = "/", .idempotent = false});
  ASSERT_FALSE(answer);
  EXPECT_EQ(server.seen().size(), 1u);
  EXPECT_NE(answer.error().message.find("not known"), std::string::npos);
}

TEST_F(SessionTest, AJudgeMayCallA200Throttled) {
  int calls = 0;
  ScriptedServer server(loop,
                        [&](const SeenRequest&) { return json(++calls == 1 ? "no" : "yes"); });
  Session service = session(server);
  const auto judge = [](Response& response) -> Result<std::string> {
    if (response.body == "yes") return response.body;
    return fail(ErrorCode::throttled, Retry::again, "slow down");
  };
  EXPECT_EQ(loop.run(service.call({.url = "/"}, judge)), "yes");
  EXPECT_EQ(gate.stats().throttled, 1u);
}

TEST_F(SessionTest, LearnsTheBudgetFromHeaders) {
  ScriptedServer server(loop, [&](const SeenRequest&) {
    return reply(200, "yes",
                 "Ratelimit: \"default\";r=0;t=1\r\nRatelimit-Policy: \"default\";q=900;w=1\r\n");
  });
  EXPECT_EQ(call(server, {.url = "/"}), "yes");
  const auto begun = io::Clock::now();
  EXPECT_EQ(call(server, {.url = "/"}), "yes");
  // Nothing was left of the budget: the second waits for the reset. (At least; never "at most".)
  EXPECT_GE(io::Clock::now() - begun, 900ms);
}

TEST_F(SessionTest, QuotesSafely) {
  ScriptedServer server(loop, [](const SeenRequest&) { return cut(); });
  const Session service = session(server);
  EXPECT_EQ(service.quote("a\r\n\tb"), "a   b");
  EXPECT_EQ(service.quote("token s3cret is wrong"), "token *** is wrong");
  EXPECT_EQ(service.quote("\x1b[2J").find('\x1b'), std::string::npos);
  EXPECT_LE(service.quote(std::string(10'000, 'x')).size(), 210u);
  Response response;
  response.status = 500;
  response.body = "  <!DOCTYPE html><p>long page";
  EXPECT_EQ(service.status_error(response, "testing").message.find("DOCTYPE"), std::string::npos);
}

TEST_F(SessionTest, AStopEndsTheWaiting) {
  ScriptedServer server(loop,
                        [](const SeenRequest&) { return reply(429, "", "Retry-After: 3000\r\n"); });
  Session service = session(server);
  const auto judge = [&](Response& response) -> Result<std::string> {
    return std::unexpected(service.status_error(response, "testing"));
  };
  const auto run = [&]() -> io::Task<Result<std::string>> {
    auto started = io::start(loop.executor(), service.call({.url = "/"}, judge));
    while (server.seen().empty()) co_await io::sleep_for(5ms);
    co_await io::sleep_for(20ms);
    stop.request(Error{ErrorCode::interrupted, Retry::fatal, std::nullopt, "Interrupted."});
    co_return co_await started.get();
  };
  const auto answer = loop.run(run());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::interrupted);
}

}  // namespace
}  // namespace sluice::http
