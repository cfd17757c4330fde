#include "flow/allowance.h"

#include <gtest/gtest.h>

#include <vector>

#include "flow/gate.h"
#include "io/task_group.h"

namespace sluice::flow {
namespace {

using namespace std::chrono_literals;

struct Case {
  const char* name;
  std::size_t tokens;
  Duration per;
  std::size_t capacity;
  std::size_t burst;  // sent at once from a full bucket
  Duration interval;  // between two after that
};

// The rates at which Cloudflare lets the cache be purged, and the edges of the policy.
constexpr Case kCases[] = {
    {"free", 5, 60s, 25, 24, 12'120ms},
    {"pro", 5, 1s, 25, 24, 202ms},
    {"business", 10, 1s, 50, 49, 101ms},
    {"enterprise", 50, 1s, 500, 490, 20'200us},
    {"URLs", 800, 1s, 800, 784, 1'262'500ns},
    {"one token has no margin but the rate's", 1, 1s, 1, 1, 1'010ms},
    {"nothing is one", 0, 1s, 0, 1, 1'010ms},
};

TEST(TokenBucket, LetsABurstThroughAndThenASteadyRate) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const TokenBucket bucket(c.tokens, c.per, c.capacity);
    EXPECT_EQ(bucket.capacity(), c.burst);
    EXPECT_EQ(bucket.interval(), c.interval);
    const TimePoint begin = TimePoint() + 1h;
    TimePoint now = begin;
    TimePoint full_at{};
    for (std::size_t sent = 0; sent < c.burst + 3; ++sent) {
      now = std::max(now, bucket.opens_at(full_at, 1));
      const auto late = static_cast<Duration::rep>(sent < c.burst ? 0 : sent - c.burst + 1);
      EXPECT_EQ(now - begin, late * c.interval) << sent;
      full_at = bucket.full_after(full_at, 1, now);
    }
    // After a long rest it is full, and not fuller.
    now = full_at + 24h;
    for (std::size_t sent = 0; sent < c.burst; ++sent) {
      EXPECT_LE(bucket.opens_at(full_at, 1), now);
      full_at = bucket.full_after(full_at, 1, now);
    }
    EXPECT_EQ(bucket.opens_at(full_at, 1), now + c.interval);
  }
}

// What the service promises to take: at most capacity + rate * time in any stretch of time.
TEST(TokenBucket, NeverSendsMoreThanTheServiceCounts) {
  for (const Case& c : kCases) {
    if (c.capacity < 2) continue;
    SCOPED_TRACE(c.name);
    const TokenBucket bucket(c.tokens, c.per, c.capacity);
    std::vector<TimePoint> sends;
    TimePoint now{1h};
    TimePoint full_at{};
    for (int i = 0; i < 2000; ++i) {
      now = std::max(now, bucket.opens_at(full_at, 1));
      if (i % 300 == 299) now += c.per * 7;
      full_at = bucket.full_after(full_at, 1, now);
      sends.push_back(now);
    }
    const double each =
        std::chrono::duration<double>(c.per).count() / static_cast<double>(c.tokens);
    double level = static_cast<double>(c.capacity);
    for (std::size_t i = 0; i < sends.size(); ++i) {
      if (i > 0) {
        const double passed = std::chrono::duration<double>(sends[i] - sends[i - 1]).count();
        level = std::min(static_cast<double>(c.capacity), level + passed / each);
      }
      level -= 1;
      ASSERT_GE(level, 0.0) << "send " << i;
    }
  }
}

TEST(TokenBucket, GivesSeveralAtOnceAndMoreThanItHoldsWhenFull) {
  const TokenBucket bucket(100, 1s, 100);
  const TimePoint now = TimePoint() + 1h;
  EXPECT_LE(bucket.opens_at(TimePoint(), 60), now);
  const TimePoint full_at = bucket.full_after(TimePoint(), 60, now);
  EXPECT_LE(bucket.opens_at(full_at, 38), now);
  EXPECT_EQ(bucket.opens_at(full_at, 60), now + 22 * bucket.interval());
  EXPECT_EQ(bucket.opens_at(full_at, 500), full_at);
  EXPECT_EQ(bucket.opens_at(bucket.full_after_emptied(now), 1), now + bucket.interval());
}

TEST(TokenBucket, OnlySlowsDownAndNotBelowTheFloor) {
  TokenBucket bucket(10, 1s, 50);
  bucket.slow_down(150ms);
  EXPECT_EQ(bucket.interval(), 150ms);
  bucket.slow_down(150ms);
  EXPECT_EQ(bucket.interval(), 150ms);
  bucket.slow_down(1ms);  // a floor above the rate does not make it faster
  EXPECT_EQ(bucket.interval(), 150ms);
}

struct AllowanceTest : ::testing::Test {
  io::Loop loop;
  io::Stop stop{loop.executor()};
  Allowance allowance;

  void limit(std::size_t burst, Duration interval) {
    allowance.limit(TokenBucket(1, interval, burst + 1), std::nullopt, 10 * interval);
  }
};

TEST_F(AllowanceTest, HoldsUpOnlyTheRequestsThatNeedIt) {
  Gate gate(loop.executor(), stop, {});
  limit(2, 1h);
  std::uint64_t sent = 0;
  bool ended = false;
  const auto purge = [&]() -> io::Task<> {
    const Fare fare{.allowance = &allowance, .items = 1, .sent = &sent};
    auto pass = co_await gate.enter(0, fare);
    if (!pass) {
      ended = true;
      EXPECT_EQ(pass.error().code, ErrorCode::interrupted);
      co_return;
    }
    pass->finish(Outcome::answered);
  };
  const auto body = [&]() -> io::Task<int> {
    io::TaskGroup group(loop.executor(), 10);
    for (int i = 0; i < 3; ++i) co_await group.spawn(purge());
    for (int i = 0; i < 5; ++i) {  // others pass
      auto pass = co_await gate.enter();
      pass->finish(Outcome::answered);
    }
    EXPECT_EQ(sent, 2u);
    EXPECT_GT(gate.stats().opens_at, io::Clock::now() + 50min);  // what the display tells
    stop.request({ErrorCode::interrupted, Retry::never, std::nullopt, "interrupted"});
    co_await group.join();
    co_return 0;
  };
  loop.run(body());
  EXPECT_TRUE(ended);
  EXPECT_EQ(gate.stats().sent, 7u);
}

TEST_F(AllowanceTest, PacesTheRest) {
  Gate gate(loop.executor(), stop, {});
  limit(1, 20ms);
  const auto body = [&]() -> io::Task<int> {
    const auto begun = io::Clock::now();
    for (int i = 0; i < 4; ++i) {
      const Fare fare{.allowance = &allowance};
      auto pass = co_await gate.enter(0, fare);
      pass->finish(Outcome::answered);
    }
    EXPECT_GE(io::Clock::now() - begun, 60ms);
    co_return 0;
  };
  loop.run(body());
}

TEST_F(AllowanceTest, A429EmptiesItAndHalvesTheRateOnce) {
  Gate gate(loop.executor(), stop, {});
  limit(5, 10ms);
  const auto body = [&]() -> io::Task<int> {
    const Fare fare{.allowance = &allowance};
    auto one = co_await gate.enter(0, fare);
    auto other = co_await gate.enter(0, fare);
    const auto told = io::Clock::now();
    one->finish(Outcome::throttled);
    other->finish(Outcome::throttled);  // of the same crowd
    EXPECT_EQ(allowance.calls()->interval(), 2 * TokenBucket(1, 10ms, 6).interval());
    auto next = co_await gate.enter(0, fare);
    EXPECT_GE(io::Clock::now() - told, 10ms);
    next->finish(Outcome::throttled);
    EXPECT_EQ(allowance.calls()->interval(), 4 * TokenBucket(1, 10ms, 6).interval());
    co_return 0;
  };
  loop.run(body());
}

TEST_F(AllowanceTest, AFixedRateTakesItsPlace) {
  Gate gate(loop.executor(), stop, {.quota_is_fixed = true});
  limit(1, 1h);
  const auto body = [&]() -> io::Task<int> {
    for (int i = 0; i < 10; ++i) {
      const Fare fare{.allowance = &allowance};
      auto pass = co_await gate.enter(0, fare);
      pass->finish(Outcome::answered);
    }
    co_return 0;
  };
  loop.run(body());
  EXPECT_EQ(gate.stats().sent, 10u);
}

TEST_F(AllowanceTest, ProcessesThatShareABudgetShareIt) {
  const auto budget = std::make_shared<Budget>();
  Gate first(loop.executor(), stop, {.budget = budget});
  Gate second(loop.executor(), stop, {.budget = budget});
  limit(3, 1h);
  Allowance others = allowance;
  const auto body = [&]() -> io::Task<int> {
    for (int i = 0; i < 2; ++i) {
      const Fare fare{.allowance = &allowance};
      auto pass = co_await first.enter(0, fare);
      pass->finish(Outcome::answered);
    }
    std::uint64_t sent = 0;
    io::TaskGroup group(loop.executor(), 2);
    const auto purge = [&]() -> io::Task<> {
      const Fare fare{.allowance = &others, .items = 1, .sent = &sent};
      auto pass = co_await second.enter(0, fare);
      if (pass) pass->finish(Outcome::answered);
    };
    co_await group.spawn(purge());
    co_await group.spawn(purge());
    co_await io::yield();
    EXPECT_EQ(sent, 1u);
    stop.request({ErrorCode::interrupted, Retry::never, std::nullopt, "interrupted"});
    co_await group.join();
    co_return 0;
  };
  loop.run(body());
}

// However many attempts reach nobody, and in whatever order they end: the bucket is as full as if
// they had not been made, and never fuller.
TEST_F(AllowanceTest, WhatNeverLeftCostsNothing) {
  const auto budget = std::make_shared<Budget>();
  Gate gate(loop.executor(), stop, {.budget = budget});
  limit(4, 1h);
  const auto body = [&]() -> io::Task<int> {
    std::uint64_t sent = 0;
    const Fare fare{.allowance = &allowance, .items = 1, .sent = &sent};
    for (int i = 0; i < 100; ++i) {
      // A new one each time: failures teach a gate to let only one through.
      Gate away(loop.executor(), stop, {.budget = budget});
      auto one = co_await away.enter(0, fare);
      auto other = co_await away.enter(0, fare);
      (i % 2 == 0 ? *one : *other).finish(Outcome::unsent);
      (i % 2 == 0 ? *other : *one).finish(Outcome::unsent);
    }
    auto counted = co_await gate.enter(0, fare);
    counted->finish(Outcome::broken);  // somebody may have counted it
    sent = 0;
    io::TaskGroup group(loop.executor(), 9);
    const auto purge = [&]() -> io::Task<> {
      auto pass = co_await gate.enter(0, fare);
      if (pass) pass->finish(Outcome::answered);
    };
    for (int i = 0; i < 9; ++i) co_await group.spawn(purge());
    co_await io::yield();
    EXPECT_EQ(sent, 3u);
    stop.request({ErrorCode::interrupted, Retry::never, std::nullopt, "interrupted"});
    co_await group.join();
    co_return 0;
  };
  loop.run(body());
}

// Time has passed before it was known that nobody was there: what came back meanwhile came back.
TEST_F(AllowanceTest, WhatComesBackByItselfIsNotGivenBackAgain) {
  const auto budget = std::make_shared<Budget>();
  Gate gate(loop.executor(), stop, {.budget = budget});
  limit(2, 20ms);
  const auto body = [&]() -> io::Task<int> {
    const Fare fare{.allowance = &allowance};
    auto late = co_await gate.enter(0, fare);
    co_await io::sleep_for(100ms);  // it is full again
    auto one = co_await gate.enter(0, fare);
    one->finish(Outcome::answered);
    auto two = co_await gate.enter(0, fare);
    two->finish(Outcome::answered);
    const TimePoint full_at = budget->bucket_full_at(0);
    late->finish(Outcome::unsent);
    EXPECT_EQ(budget->bucket_full_at(0), full_at);
    co_return 0;
  };
  loop.run(body());
}

}  // namespace
}  // namespace sluice::flow
