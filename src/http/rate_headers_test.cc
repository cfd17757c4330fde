#include "http/rate_headers.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace sluice::http {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

// 2026-11-20T00:00:00Z, a Friday.
const auto now = std::chrono::system_clock::from_time_t(1'795'132'800);

TEST(RetryAfter, Table) {
  struct Case {
    std::string_view value;
    std::optional<milliseconds> expected;
  };
  const Case cases[] = {
      {"0", 0ms},
      {"30", 30s},
      {" 300 ", 300s},
      {"3600", 1h},
      {"3601", 1h},
      {"31536000000", 1h},
      {"99999999999999999999999999", 1h},
      {"Fri, 20 Nov 2026 00:00:10 GMT", 10s},
      {"Friday, 20-Nov-26 00:00:10 GMT", 10s},
      {"Fri Nov 20 00:00:10 2026", 10s},
      {"Thu, 19 Nov 2026 23:59:59 GMT", 0ms},
      {"Fri, 31 Dec 9999 23:59:59 GMT", 1h},
      {"", std::nullopt},
      {"-1", std::nullopt},
      {"+5", std::nullopt},
      {"1.5", std::nullopt},
      {"5 apples", std::nullopt},
      {"soon", std::nullopt},
      {"<html>", std::nullopt},
  };
  for (const Case& test : cases) {
    EXPECT_EQ(parse_retry_after(test.value, now), test.expected) << test.value;
  }
}

TEST(Ratelimit, Table) {
  struct Case {
    std::string_view value;
    std::optional<std::size_t> remaining;
    std::optional<milliseconds> reset_after;
  };
  const Case cases[] = {
      {R"("default";r=50;t=30)", 50, 30s},
      {R"("default"; r=0; t=299)", 0, 299s},
      {R"("a;r=1;t=1";r=7;t=3)", 7, 3s},
      {R"("burst";r=9;t=1, "default";r=5;t=100)", 5, 100s},
      {R"("default";r=50)", 50, std::nullopt},
      {R"("default";r=3;t=999999999)", 3, 1h},
      {R"("default";t=30)", std::nullopt, std::nullopt},
      {R"("default";r=-1;t=30)", std::nullopt, std::nullopt},
      {R"("default";r=many;t=30)", std::nullopt, std::nullopt},
      {R"("default";r=99999999999999999999999;t=1)", std::nullopt, std::nullopt},
      {"", std::nullopt, std::nullopt},
      {R"(";;;===,,,)", std::nullopt, std::nullopt},
  };
  for (const Case& test : cases) {
    flow::BudgetHint hint;
    parse_ratelimit(test.value, hint);
    EXPECT_EQ(hint.remaining, test.remaining) << test.value;
    EXPECT_EQ(hint.reset_after, test.reset_after) << test.value;
  }
}

TEST(RatelimitPolicy, Table) {
  struct Case {
    std::string_view value;
    std::vector<flow::Quota> expected;
  };
  const Case cases[] = {
      {R"("default";q=1200;w=300)", {{1200, 300s}}},
      {R"("burst";q=200;w=1, "default";q=1200;w=300)", {{1200, 300s}, {200, 1s}}},
      {R"("default";q=1200;w=300,"burst";q=200;w=1)", {{1200, 300s}, {200, 1s}}},
      {R"("a";q=10;w=60,"b";q=1000;w=3600,"c";q=5;w=1)", {{10, 60s}, {5, 1s}}},
      {R"("default";q=10;w=1,"day";q=900000;w=86400)", {{10, 1s}}},
      {R"(100;w=60)", {{100, 60s}}},
      {R"("default";q=0;w=300)", {}},
      {R"("default";q=1200;w=0)", {}},
      {R"("default";q=1200;w=99999999999)", {}},
      {R"("default";q=1200)", {}},
      {R"(q=;w=)", {}},
  };
  for (const Case& test : cases) {
    flow::BudgetHint hint;
    parse_ratelimit_policy(test.value, hint);
    flow::Quotas expected;
    for (const flow::Quota& quota : test.expected) expected.add(quota);
    EXPECT_EQ(hint.quotas, expected) << test.value;
  }
}

TEST(RateHeaders, OlderNamesCountOnlyWithoutTheNewOnes) {
  Headers headers;
  headers.add("RateLimit-Remaining", "9");
  headers.add("RateLimit-Reset", "90");
  EXPECT_EQ(read_rate_headers(headers, now).hint.remaining, 9u);
  headers.add("X-RateLimit-Remaining", "4");
  headers.add("X-RateLimit-Reset", "60");
  EXPECT_EQ(read_rate_headers(headers, now).hint.remaining, 4u);
  EXPECT_EQ(read_rate_headers(headers, now).hint.reset_after, milliseconds(60s));
  headers.add("RateLimit", R"("default";r=2;t=5)");
  EXPECT_EQ(read_rate_headers(headers, now).hint.remaining, 2u);
  EXPECT_EQ(read_rate_headers(headers, now).hint.reset_after, milliseconds(5s));
}

TEST(RateHeaders, ResetMayBeATime) {
  Headers headers;
  headers.add("x-ratelimit-remaining", "0");
  headers.add("x-ratelimit-reset", "1795132845");
  EXPECT_EQ(read_rate_headers(headers, now).hint.reset_after, milliseconds(45s));
}

RC_GTEST_PROP(RateHeadersProperty, AnyTextIsReadWithinBounds, (const std::string& text)) {
  flow::BudgetHint hint;
  parse_ratelimit(text, hint);
  parse_ratelimit_policy(text, hint);
  if (hint.reset_after) RC_ASSERT(*hint.reset_after <= longest_told_pause);
  for (std::size_t i = 0; i < hint.quotas.size(); ++i) RC_ASSERT(hint.quotas[i].requests > 0u);
  const auto pause = parse_retry_after(text, now);
  if (pause) RC_ASSERT(*pause >= 0ms && *pause <= longest_told_pause);
}

}  // namespace
}  // namespace sluice::http
