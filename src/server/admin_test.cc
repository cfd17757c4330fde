#include "server/admin.h"

#include <gtest/gtest.h>

#include "io/task.h"

namespace sluice::server {
namespace {

// What /readyz stands on: takes its time, and counts who asks.
struct ReadinessTest : testing::Test {
  io::Loop loop;
  Metrics metrics;
  int asked = 0;
  bool works = true;

  void add_routes(Router& router, io::Clock::duration age) {
    const auto ready = [this]() -> io::Task<Result<>> {
      ++asked;
      co_await io::yield();
      if (!works) co_return fail(ErrorCode::io, "the disk is gone");
      co_return Result<>{};
    };
    add_admin_routes(router, metrics, {.ready = ready, .ready_age = age});
  }

  static io::Task<Result<int>> ask(const Router& router) {
    const Router::Match match = router.match("GET", "/readyz");
    http::ServerRequest request;
    Call call(request, *match.route, match.places);
    const Result<Response> answer = co_await match.route->handler(call);
    if (!answer) co_return std::unexpected(answer.error());
    co_return answer->status;
  }
};

TEST_F(ReadinessTest, ManyWhoAskCostTheStoreOneCall) {
  Router router;
  add_routes(router, std::chrono::hours(1));
  const auto all = [&]() -> io::Task<int> {
    std::vector<io::Started<Result<int>>> asking;
    for (int i = 0; i < 50; ++i) asking.push_back(io::start(loop.executor(), ask(router)));
    int good = 0;
    for (auto& each : asking) good += co_await each.get() == 200 ? 1 : 0;
    co_return good;
  };
  EXPECT_EQ(loop.run(all()), 50);
  EXPECT_EQ(loop.run(ask(router)), 200);
  EXPECT_EQ(asked, 1);
}

TEST_F(ReadinessTest, AnAnswerThatIsOldIsNotGiven) {
  Router router;
  add_routes(router, {});
  EXPECT_EQ(loop.run(ask(router)), 200);
  works = false;
  EXPECT_EQ(loop.run(ask(router)), 503);
  works = true;
  EXPECT_EQ(loop.run(ask(router)), 200);
  EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace sluice::server
