// The policies of flow, by table: no time passes here.
#include <gtest/gtest.h>

#include <vector>

#include "flow/attempt.h"
#include "flow/batcher.h"
#include "flow/concurrency.h"
#include "flow/progress.h"
#include "flow/quota.h"
#include "flow/send_log.h"

namespace sluice::flow {
namespace {

using namespace std::chrono_literals;

const TimePoint kStart{1000s};

TEST(ParseQuota, TakesRequestsPerTime) {
  struct Row {
    std::string_view text;
    std::size_t requests;
    Duration window;
  };
  for (const Row& row : {Row{"1200/5m", 1200, 5min}, Row{"4/s", 4, 1s}, Row{"100/1m30s", 100, 90s},
                         Row{"1/500ms", 1, 500ms}, Row{"10/h", 10, 1h}}) {
    const auto quota = parse_quota(row.text);
    ASSERT_TRUE(quota) << row.text;
    EXPECT_EQ(quota->requests, row.requests) << row.text;
    EXPECT_EQ(quota->window, row.window) << row.text;
  }
}

TEST(ParseQuota, RefusesTheRestInASentence) {
  for (const std::string_view text : {"", "12", "/5m", "0/s", "-1/s", "12/", "12/0s", "12/x", "a/s",
                                      "1.5/s", "99999999999999999999/s"}) {
    const auto quota = parse_quota(text);
    ASSERT_FALSE(quota) << text;
    EXPECT_EQ(quota.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(quota.error().message.find("rate"), std::string::npos);
  }
}

TEST(PaceOf, KeepsAMargin) {
  struct Row {
    Quota quota;
    Pace pace;
  };
  for (const Row& row :
       {Row{{1200, 300s}, {1188, 300s + 100ms, 12s}}, Row{{1200, 2s}, {1188, 2s + 5ms, 80ms}},
        Row{{50, 1s}, {49, 1s + 2500us, 40ms}}, Row{{49, 1s}, {49, 1s + 2500us, 40ms}},
        Row{{1, 1h}, {1, 1h + 100ms, 15s}}}) {
    EXPECT_EQ(pace_of(row.quota), row.pace) << row.quota.requests;
  }
}

TEST(PaceOf, CutsWhatTheLogCannotHold) {
  for (const std::size_t requests : {16'000u, 17'000u, 1'000'000u, 1'000'000'000u}) {
    const Pace pace = pace_of({requests, 3600s});
    EXPECT_LT(pace.requests, SendLog::entries);
    // So many parts of the span that together are the window at least hold no more than the quota.
    const auto parts = static_cast<std::size_t>(3600s / pace.span) + 1;
    EXPECT_LE(pace.requests * parts, requests);
    EXPECT_GE(static_cast<double>(pace.requests * parts), 0.9 * static_cast<double>(requests));
  }
}

TEST(PauseBeforeRetry, GrowsToALimitAndHonoursRetryAfter) {
  const RetryPolicy policy{.attempts = 5, .base = 100ms, .longest = 500ms};
  const Error again{ErrorCode::unavailable, Retry::again, std::nullopt, ""};
  Error told = again;
  told.retry_after = 7000ms;
  struct Row {
    int made;
    const Error* error;
    double random;
    std::optional<std::chrono::milliseconds> pause;
  };
  for (const Row& row :
       {Row{1, &again, 0.0, 0ms}, Row{1, &again, 0.999, 99ms}, Row{2, &again, 0.5, 100ms},
        Row{3, &again, 0.5, 200ms}, Row{4, &again, 0.5, 250ms}, Row{5, &again, 0.5, {}},
        Row{1, &told, 0.5, 7050ms}, Row{5, &told, 0.5, {}}}) {
    EXPECT_EQ(pause_before_retry(policy, row.made, *row.error, row.random), row.pause)
        << row.made << " " << row.random;
  }
  for (const Retry final : {Retry::never, Retry::smaller, Retry::fatal}) {
    const Error error{ErrorCode::unavailable, final, std::nullopt, ""};
    EXPECT_EQ(pause_before_retry(policy, 1, error, 0.5), std::nullopt);
  }
}

TEST(Batcher, IsFullByCountAndByBytes) {
  Batcher batcher(3, 100);
  EXPECT_TRUE(batcher.fits(1000)) << "an item larger than the limit travels alone";
  batcher.add(60);
  EXPECT_FALSE(batcher.fits(41));
  EXPECT_TRUE(batcher.fits(40));
  batcher.add(10);
  batcher.add(10);
  EXPECT_FALSE(batcher.fits(0)) << "three items are a batch";
  batcher.clear();
  EXPECT_TRUE(batcher.fits(100));
}

TEST(BatchSize, HalvesAndClimbsBack) {
  BatchSize size(1000);
  EXPECT_EQ(size.limit(), 1000u);
  size.refused(1000);
  EXPECT_EQ(size.limit(), 500u);
  size.refused(1000);  // was under way when the limit fell
  EXPECT_EQ(size.limit(), 500u);
  size.refused(500);
  EXPECT_EQ(size.limit(), 250u);
  for (int i = 0; i < 200; ++i) size.succeeded(size.limit());
  EXPECT_EQ(size.limit(), 1000u);
}

TEST(BatchSize, RemembersWhatHasStood) {
  BatchSize size(1000);
  EXPECT_TRUE(size.has_stood(1));
  EXPECT_FALSE(size.has_stood(2));
  size.succeeded(600);
  EXPECT_TRUE(size.has_stood(600));
  EXPECT_FALSE(size.has_stood(601));
  size.refused(800);
  EXPECT_TRUE(size.has_stood(400));
  EXPECT_FALSE(size.has_stood(401));
  size.refused(1);
  EXPECT_TRUE(size.has_stood(1));
}

TEST(BatchSize, ARefusalByChanceIsForgotten) {
  BatchSize size(1024);
  // Each time it is refused at its maximum, and soon stands it: the way back does not get longer.
  for (int round = 0; round < 20; ++round) {
    size.refused(1024);
    EXPECT_EQ(size.limit(), 512u);
    int successes = 0;
    for (; size.limit() < 1024 && successes < 1000; ++successes) size.succeeded(size.limit());
    EXPECT_LE(successes, 8);
    size.succeeded(1024);
  }
}

TEST(BatchSize, SmallBatchesTellNothing) {
  BatchSize size(1000);
  size.refused(1000);
  for (int i = 0; i < 1000; ++i) size.succeeded(10);
  EXPECT_EQ(size.limit(), 500u);
}

TEST(BatchSize, NeverFallsBelowOne) {
  BatchSize size(3);
  for (int i = 0; i < 5; ++i) size.refused(size.limit());
  EXPECT_EQ(size.limit(), 1u);
}

// A service that stands 2,500: what it refuses must become rare.
TEST(BatchSize, AsksSeldomForWhatWasRefused) {
  BatchSize size(10'000);
  int refused = 0;
  for (int i = 0; i < 1000; ++i) {
    if (size.limit() > 2500) {
      ++refused;
      size.refused(size.limit());
    } else {
      size.succeeded(size.limit());
    }
  }
  EXPECT_LE(refused, 25);
}

TEST(RateEstimate, SmoothsAndTellsTheTimeLeft) {
  RateEstimate rate(5.0);
  EXPECT_EQ(rate.per_second(), 0.0);
  EXPECT_FALSE(rate.time_for(10));
  TimePoint now = kStart;
  std::uint64_t count = 0;
  for (int i = 0; i < 100; ++i) rate.sample(count += 100, now += 100ms);
  EXPECT_NEAR(rate.per_second(), 1000.0, 1.0);
  EXPECT_EQ(rate.time_for(5000), 5s);
  // One stalled second moves it by less than a quarter.
  rate.sample(count, now += 1s);
  EXPECT_GT(rate.per_second(), 750.0);
  EXPECT_LT(rate.per_second(), 1000.0);
  EXPECT_TRUE(rate.time_for(5000));
  // While nothing moves, what is left of the rate would tell hours.
  rate.sample(count, now += 4500ms);
  EXPECT_FALSE(rate.time_for(5000));
  rate.sample(count += 100, now += 100ms);
  EXPECT_TRUE(rate.time_for(5000));
}

TEST(Progress, KeepsStagesInTheirOrder) {
  Progress progress;
  progress.stage("listed").count = 3;
  progress.stage("deleted").count = 1;
  progress.stage("listed").count += 2;
  ASSERT_EQ(progress.stages().size(), 2u);
  EXPECT_EQ(progress.stages()[0].name, "listed");
  EXPECT_EQ(progress.stages()[0].count, 5u);
}

}  // namespace
}  // namespace sluice::flow
