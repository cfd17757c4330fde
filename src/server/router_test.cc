#include "server/router.h"

#include <gtest/gtest.h>

#include <tuple>

#include "server/listen_address.h"

namespace sluice::server {
namespace {

io::Task<Result<Response>> nothing(Call&) {
  co_return Response{};
}

Route route(std::string method, std::string path) {
  return {.method = std::move(method), .path = std::move(path), .handler = nothing};
}

struct RouterTest : testing::Test {
  Router router;

  void SetUp() override {
    router.add(route("GET", "/healthz"));
    router.add(route("GET", "/things"));
    router.add(route("POST", "/things"));
    router.add(route("GET", "/things/{thing}"));
    router.add(route("DELETE", "/things/{thing}"));
    router.add(route("POST", "/things/bulk"));
    router.add(route("GET", "/things/{thing}/parts/{part}"));
  }
};

TEST_F(RouterTest, FindsRoutesAndWhatStandsAtTheirPlaces) {
  using Places = std::vector<std::string>;
  const std::vector<std::tuple<std::string, std::string, std::string, Places>> cases{
      {"GET", "/healthz", "/healthz", {}},
      {"HEAD", "/healthz", "/healthz", {}},
      {"POST", "/things", "/things", {}},
      {"GET", "/things/a", "/things/{thing}", {"a"}},
      {"GET", "/things/a%2Fb", "/things/{thing}", {"a/b"}},
      {"GET", "/things/%00%C3%A4+", "/things/{thing}", {std::string("\0\xc3\xa4+", 4)}},
      {"GET", "/things/..", "/things/{thing}", {".."}},
      {"GET", "/things/%2e%2e%2f", "/things/{thing}", {"../"}},
      {"POST", "/things/bulk", "/things/bulk", {}},
      {"GET", "/things/a/parts/b", "/things/{thing}/parts/{part}", {"a", "b"}},
  };
  for (const auto& [method, path, expected, places] : cases) {
    const Router::Match match = router.match(method, path);
    ASSERT_NE(match.route, nullptr) << method << ' ' << path;
    EXPECT_EQ(match.route->path, expected);
    EXPECT_EQ(match.places, places) << path;
  }
}

TEST_F(RouterTest, RefusesWhatLeadsNowhere) {
  const std::vector<std::tuple<std::string, std::string, int, std::string>> cases{
      {"GET", "/", 404, ""},
      {"GET", "/health", 404, ""},
      {"GET", "/healthz/", 404, ""},
      {"GET", "//healthz", 404, ""},
      {"GET", "/./healthz", 404, ""},
      {"GET", "/x/../healthz", 404, ""},
      {"GET", "/things/", 404, ""},
      {"GET", "/things//parts/b", 404, ""},
      {"GET", "/things/a/parts", 404, ""},
      {"GET", "/things/%", 400, ""},
      {"GET", "/things/%zz", 400, ""},
      {"POST", "/healthz", 405, "GET, HEAD"},
      {"PUT", "/things", 405, "GET, HEAD, POST"},
      {"get", "/things", 405, "GET, HEAD, POST"},
      // The literal goes before the place, for all methods.
      {"GET", "/things/bulk", 405, "POST"},
  };
  for (const auto& [method, path, status, allow] : cases) {
    const Router::Match match = router.match(method, path);
    EXPECT_EQ(match.route, nullptr) << path;
    EXPECT_EQ(match.refusal.status, status) << path;
    EXPECT_EQ(match.allow, allow) << path;
  }
}

struct OtherFace : ErrorFace {
  [[nodiscard]] Response of(const Error&) const override { return {}; }
  [[nodiscard]] Response of(const http::Refusal&) const override { return {}; }
};

TEST_F(RouterTest, TheLongestPrefixGivesTheFace) {
  const OtherFace api;
  const OtherFace inner;
  router.use("/api", api);
  router.use("/api/inner", inner);
  EXPECT_EQ(&router.face("/api/x"), &api);
  EXPECT_EQ(&router.face("/api/inner/x"), &inner);
  EXPECT_EQ(&router.face("/healthz"), &problem_json());
  const OtherFace all;
  router.use("", all);
  EXPECT_EQ(&router.face("/healthz"), &all);
}

TEST(ProblemJson, TellsWhatTheClientMayKnow) {
  const Response missing = problem_json().of(
      Error{ErrorCode::not_found, Retry::never, std::nullopt, "there is no \"x\""});
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.content_type, "application/problem+json");
  EXPECT_EQ(missing.text, R"({"title":"Not Found","status":404,"detail":"there is no \"x\""})");
  const Response broken = problem_json().of(
      Error{ErrorCode::io, Retry::never, std::nullopt, "/var/lib/secret.db: no space"});
  EXPECT_EQ(broken.status, 500);
  EXPECT_EQ(broken.text.find("secret"), std::string::npos);
}

TEST(ListenAddress, ReadsWhatPeopleWrite) {
  const std::vector<std::tuple<std::string, std::string, bool>> good{
      {"127.0.0.1:8787", "127.0.0.1:8787", true},
      {"8787", "127.0.0.1:8787", true},
      {":8787", "127.0.0.1:8787", true},
      {"localhost:0", "127.0.0.1:0", true},
      {"[::1]:80", "[::1]:80", true},
      {"0.0.0.0:80", "0.0.0.0:80", false},
      {"[::]:80", "[::]:80", false},
      {"192.168.0.1:80", "192.168.0.1:80", false},
  };
  for (const auto& [text, expected, loopback] : good) {
    const auto address = parse_listen_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), expected);
    EXPECT_EQ(address->loopback, loopback) << text;
  }
  for (const std::string text :
       {"", ":", "x", "65536", "-1", "example.com:80", "::1:80", "1.2.3:80",
        "127.0.0.1:", "127.0.0.1:80x", "http://127.0.0.1:80"}) {
    const auto address = parse_listen_address(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, ErrorCode::invalid_argument);
  }
}

}  // namespace
}  // namespace sluice::server
