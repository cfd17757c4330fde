#include "flow/gate.h"

#include <gtest/gtest.h>

#include <vector>

#include "flow/attempt.h"
#include "io/task_group.h"

namespace sluice::flow {
namespace {

using namespace std::chrono_literals;

struct GateTest : ::testing::Test {
  io::Loop loop;
  io::Stop stop{loop.executor()};
};

const Error kInterrupted{ErrorCode::interrupted, Retry::never, std::nullopt, "interrupted"};

TEST_F(GateTest, AdmitsNoMoreAtOnceThanTheConcurrency) {
  Gate gate(loop.executor(), stop, {.concurrency = 2});
  std::size_t most = 0;
  const auto request = [&]() -> io::Task<> {
    auto pass = co_await gate.enter();
    EXPECT_TRUE(pass);
    most = std::max(most, gate.stats().in_flight);
    co_await io::sleep_for(1ms);
    pass->finish(Outcome::answered);
  };
  const auto body = [&]() -> io::Task<int> {
    io::TaskGroup group(loop.executor(), 10);
    for (int i = 0; i < 10; ++i) co_await group.spawn(request());
    co_await group.join();
    co_return 0;
  };
  loop.run(body());
  EXPECT_EQ(most, 2u);
  EXPECT_EQ(gate.stats().sent, 10u);
  EXPECT_EQ(gate.stats().in_flight, 0u);
}

TEST_F(GateTest, SendsNothingWhileARetryAfterRuns) {
  Gate gate(loop.executor(), stop, {.concurrency = 4});
  const auto body = [&]() -> io::Task<int> {
    auto first = co_await gate.enter();
    first->finish(Outcome::throttled, 40ms);
    const auto told = io::Clock::now();
    auto second = co_await gate.enter();
    EXPECT_GE(io::Clock::now() - told, 39ms);
    second->finish(Outcome::answered);
    co_return 0;
  };
  loop.run(body());
  EXPECT_EQ(gate.stats().throttled, 1u);
  EXPECT_GT(gate.stats().waited, Duration::zero());
}

TEST_F(GateTest, KeepsTheBudgetOverAWindow) {
  Gate gate(loop.executor(), stop, {.quota = Quota{5, 50ms}, .concurrency = 4});
  std::vector<TimePoint> sends;
  const auto body = [&]() -> io::Task<int> {
    for (int i = 0; i < 12; ++i) {
      auto pass = co_await gate.enter();
      sends.push_back(io::Clock::now());
      pass->finish(Outcome::answered);
    }
    co_return 0;
  };
  loop.run(body());
  for (std::size_t i = 5; i < sends.size(); ++i) EXPECT_GE(sends[i] - sends[i - 5], 49ms);
}

TEST_F(GateTest, LearnsABudgetFromAnAnswerUnlessItIsFixed) {
  for (const bool fixed : {false, true}) {
    Gate gate(loop.executor(), stop, {.quota_is_fixed = fixed, .concurrency = 1});
    const auto body = [&]() -> io::Task<Duration> {
      const auto begun = io::Clock::now();
      for (int i = 0; i < 3; ++i) {
        auto pass = co_await gate.enter();
        Quotas told;
        told.add({1, 30ms});
        pass->finish(Outcome::answered, {}, {.quotas = told});
      }
      co_return io::Clock::now() - begun;
    };
    const Duration took = loop.run(body());
    // The first send is before the budget is known, so two windows lie between the three.
    if (!fixed) EXPECT_GE(took, 30ms);
    if (fixed) EXPECT_EQ(gate.stats().waited, Duration::zero());
  }
}

TEST_F(GateTest, WaitsForTheResetWhenNothingIsLeft) {
  Gate gate(loop.executor(), stop, {.concurrency = 1});
  const auto body = [&]() -> io::Task<Duration> {
    auto pass = co_await gate.enter();
    pass->finish(Outcome::answered, {}, {.remaining = 0, .reset_after = 40ms});
    const auto told = io::Clock::now();
    auto next = co_await gate.enter();
    next->finish(Outcome::answered);
    co_return io::Clock::now() - told;
  };
  EXPECT_GE(loop.run(body()), 39ms);
}

TEST_F(GateTest, AStopTurnsEveryWaiterAway) {
  Gate gate(loop.executor(), stop, {.concurrency = 1});
  std::vector<ErrorCode> codes;
  const auto waiter = [&]() -> io::Task<> {
    auto pass = co_await gate.enter();
    codes.push_back(pass ? ErrorCode::io : pass.error().code);
    if (pass) pass->finish(Outcome::answered);
  };
  const auto body = [&]() -> io::Task<int> {
    auto held = co_await gate.enter();
    io::TaskGroup group(loop.executor(), 3);
    for (int i = 0; i < 3; ++i) co_await group.spawn(waiter());
    co_await io::sleep_for(1ms);
    stop.request(kInterrupted);
    co_await group.join();
    held->finish(Outcome::answered);
    co_return 0;
  };
  loop.run(body());
  EXPECT_EQ(codes, std::vector<ErrorCode>(3, ErrorCode::interrupted));
  EXPECT_EQ(gate.stats().sent, 1u);
}

TEST_F(GateTest, APassThatIsDroppedCountsAsBroken) {
  Gate gate(loop.executor(), stop, {.concurrency = 4});
  const auto body = [&]() -> io::Task<int> {
    {
      auto pass = co_await gate.enter();
    }
    co_return 0;
  };
  loop.run(body());
  EXPECT_EQ(gate.stats().in_flight, 0u);
  EXPECT_EQ(gate.stats().concurrency, 2u) << "a broken request halves the concurrency";
}

struct AttemptTest : GateTest {
  Retrier retrier{stop, {.attempts = 4, .base = 1ms, .longest = 2ms}, 1};
  int calls = 0;

  // Fails `times` times with `error`, then succeeds.
  auto failing(int times, Error error) {
    return [this, times, error]() -> io::Task<Result<int>> {
      if (++calls <= times) co_return std::unexpected(error);
      co_return calls;
    };
  }
};

TEST_F(AttemptTest, RepeatsWhatMaySucceed) {
  const auto result =
      loop.run(attempt(retrier, failing(3, {ErrorCode::network, Retry::again, {}, "no"})));
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 4);
  EXPECT_EQ(retrier.retries, 3u);
}

TEST_F(AttemptTest, GivesUpAfterItsAttemptsAndSaysSo) {
  const auto result =
      loop.run(attempt(retrier, failing(99, {ErrorCode::network, Retry::again, {}, "no"})));
  ASSERT_FALSE(result);
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(result.error().retry, Retry::never);
  EXPECT_EQ(result.error().message, "no (after 4 attempts)");
}

TEST_F(AttemptTest, DoesNotRepeatWhatIsFinal) {
  for (const Retry retry : {Retry::never, Retry::smaller, Retry::fatal}) {
    calls = 0;
    const auto result =
        loop.run(attempt(retrier, failing(99, {ErrorCode::too_large, retry, {}, "no"})));
    EXPECT_FALSE(result);
    EXPECT_EQ(calls, 1);
  }
}

TEST_F(AttemptTest, TellsOfTroubleWhenNothingGetsThrough) {
  const Error away{ErrorCode::network, Retry::again, {}, "nobody there"};
  (void)loop.run(attempt(retrier, failing(2, away)));
  EXPECT_EQ(retrier.trouble(), "") << "one that fails twice is no news";
  calls = 0;
  (void)loop.run(attempt(retrier, failing(99, away)));
  EXPECT_EQ(retrier.trouble(), "nobody there");
  calls = 0;
  (void)loop.run(attempt(retrier, failing(99, {ErrorCode::not_found, Retry::never, {}, "no"})));
  EXPECT_EQ(retrier.trouble(), "") << "that was an answer";
}

TEST_F(AttemptTest, AStopEndsThePause) {
  Retrier slow{stop, {.attempts = 4, .base = 3600s, .longest = 3600s}, 1};
  const auto stopper = [&]() -> io::Task<int> {
    co_await io::sleep_for(2ms);
    stop.request(kInterrupted);
    co_return 0;
  };
  const auto body = [&]() -> io::Task<Result<int>> {
    auto stopping = io::start(loop.executor(), stopper());
    auto result = co_await attempt(slow, failing(99, {ErrorCode::network, Retry::again, {}, "no"}));
    co_await stopping.get();
    co_return result;
  };
  const auto result = loop.run(body());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::interrupted);
}

}  // namespace
}  // namespace sluice::flow
