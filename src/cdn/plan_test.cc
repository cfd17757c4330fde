#include "cdn/plan.h"

#include <gtest/gtest.h>

namespace sluice::cdn {
namespace {

using namespace std::chrono_literals;

TEST(Plan, HasTheRatesOfTheService) {
  struct Row {
    Plan plan;
    std::string_view name;
    flow::Duration call;  // one comes back in it
    std::size_t burst;
    std::size_t urls;
    std::size_t files;
  };
  const Row rows[] = {{Plan::free, "free", 12s, 25, 800, 100},
                      {Plan::pro, "pro", 200ms, 25, 1500, 100},
                      {Plan::business, "business", 100ms, 50, 1500, 100},
                      {Plan::enterprise, "enterprise", 20ms, 500, 3000, 500}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(parse_plan(row.name), row.plan);
    EXPECT_EQ(name(row.plan), row.name);
    const PurgeLimits limits = limits_of(row.plan);
    EXPECT_EQ(limits.per / static_cast<flow::Duration::rep>(limits.calls), row.call);
    EXPECT_EQ(limits.burst, row.burst);
    EXPECT_EQ(limits.urls_per_second, row.urls);
    EXPECT_EQ(limits.files, row.files);
    EXPECT_EQ(limits.items, 100u);
    const flow::Allowance allowance = allowance_of(row.plan, true);
    ASSERT_TRUE(allowance.limits());
    // Never faster than the plan, and at most 1 % slower.
    EXPECT_GE(allowance.calls()->interval(), row.call);
    EXPECT_LE(allowance.calls()->interval(), row.call + row.call / 99);
    EXPECT_LT(allowance.calls()->capacity(), row.burst);
  }
  EXPECT_FALSE(parse_plan("Pro"));
  EXPECT_FALSE(parse_plan(""));
}

}  // namespace
}  // namespace sluice::cdn
