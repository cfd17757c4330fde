#include "server/rate_limit.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace sluice::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(RateLimit, CountsWindowsAndBlocks) {
  RateLimit limit({3, seconds(10)});
  const RateLimit::TimePoint start{seconds(1000)};
  struct Row {
    milliseconds at;
    std::string_view who;
    bool blocked;
    std::uint64_t left;
    int reset;
  };
  const Row table[] = {
      {milliseconds(0), "a", false, 2, 10},
      {milliseconds(500), "a", false, 1, 10},   // rounded up
      {milliseconds(9000), "b", false, 2, 10},  // a window of its own
      {milliseconds(9999), "a", false, 0, 1},
      {milliseconds(10000), "a", false, 2, 10},  // the next window begins with a request
      {milliseconds(11000), "a", false, 1, 9},
      {milliseconds(12000), "a", false, 0, 8},
      {milliseconds(13000), "a", true, 0, 10},  // one too many blocks for a whole window
      {milliseconds(21000), "a", true, 0, 2},   // and is not made longer by trying
      {milliseconds(22999), "a", true, 0, 1},
      {milliseconds(23000), "a", false, 2, 10},
      {milliseconds(23001), "b", false, 2, 10},
  };
  for (const Row& row : table) {
    const auto standing = limit.count(row.who, start + row.at);
    EXPECT_EQ(standing.blocked, row.blocked) << row.at.count();
    EXPECT_EQ(standing.left, row.left) << row.at.count();
    EXPECT_EQ(standing.reset.count(), row.reset) << row.at.count();
    const auto seen = limit.look(row.who, start + row.at);
    EXPECT_EQ(seen.left, standing.left) << "looking does not count";
    EXPECT_EQ(seen.blocked, standing.blocked);
  }
  EXPECT_EQ(limit.look("nobody", start).left, 3u);
  EXPECT_EQ(limit.look("a", start + seconds(100)).left, 3u);
  EXPECT_EQ(RateLimit::header({false, 50, seconds(30)}), R"("default";r=50;t=30)");
  EXPECT_EQ(RateLimit({1200, seconds(300)}).policy_header(), R"("default";q=1200;w=300)");
}

TEST(RateLimit, ForgetsWhomItHasNotSeenForLongest) {
  RateLimit limit({5, seconds(10)}, 2);
  const RateLimit::TimePoint now{seconds(1)};
  limit.count("a", now);
  limit.count("b", now);
  limit.count("a", now);
  limit.count("c", now);
  EXPECT_EQ(limit.look("a", now).left, 3u);
  EXPECT_EQ(limit.look("b", now).left, 5u);
  EXPECT_EQ(limit.look("c", now).left, 4u);
}

TEST(RateLimit, LetsPassNoMoreThanTheQuotaFromAllLoops) {
  RateLimit limit({1000, seconds(300)});
  const RateLimit::TimePoint now{seconds(1)};
  std::atomic<int> passed = 0;
  {
    std::vector<std::jthread> loops;
    for (int i = 0; i < 4; ++i) {
      loops.emplace_back([&] {
        for (int k = 0; k < 500; ++k) {
          if (!limit.count("a", now).blocked) ++passed;
        }
      });
    }
  }
  EXPECT_EQ(passed, 1000);
}

}  // namespace
}  // namespace sluice::server
