#include "cdn/purge.h"

#include <gmock/gmock.h>

#include "bulk/job_test.h"
#include "cdn/service_test.h"

namespace sluice::cdn {
namespace {

using cloudflare_fake::Fault;
using ::testing::HasSubstr;

constexpr std::string_view kZone = "example.com";
// Nobody listens there: TCP port service multiplexer (RFC 1078), which nothing runs today.
constexpr const char* kNowhere = "http://127.0.0.1:1/client/v4";

struct PurgeTest : bulk::JobFixture {
  PurgeTest() {
    cloudflare_fake::Options options;
    options.zones.emplace_back(kZone, "enterprise");
    service.emplace(loop.executor(), *stop, log, options);
  }

  PurgeReport run(std::vector<std::string> tags, std::optional<std::size_t> batch_size = {}) {
    bulk::Job with = job();
    PurgeApi api(service->connect(), plan);
    const Zone zone{.id = cloudflare_fake::zone_id_of(kZone)};
    const auto body = [&]() -> io::Task<PurgeReport> {
      auto spool = co_await ItemSpool::open("");
      std::vector<ItemSpool::Placed> placed;
      for (const std::string& tag : tags) placed.push_back({.zone = zone.id, .item = tag});
      EXPECT_TRUE(co_await (*spool)->add(placed));
      PurgePlan what{.kind = PurgeKind::tags, .zones = {zone}, .batch_size = batch_size};
      PurgeReport report = co_await purge(with, api, **spool, std::move(what));
      waited = api.wire_stats().gate.waited;
      co_return report;
    };
    return loop.run(body());
  }

  std::optional<TestService> service;
  std::optional<Plan> plan = std::nullopt;
  flow::Duration waited{};  // of the last run, for the rate
};

TEST_F(PurgeTest, EndsWithTheCauseWhenNothingIsPurgedForWantOfAnAnswer) {
  service->url = kNowhere;
  for (const std::size_t items : {1, 2, 5}) {
    SCOPED_TRACE(items);
    const PurgeReport report = run(std::vector<std::string>(items, "t"), 1);
    EXPECT_EQ(report.purged(), 0u);
    ASSERT_NE(report.ended(), nullptr);
    EXPECT_EQ(report.ended()->code, ErrorCode::network);
    EXPECT_THAT(report.ended()->message, HasSubstr("could not be reached"));
    EXPECT_EQ(exit_code(report), ExitCode::failed);
  }
}

// 24 calls at once, then one in 12 s: more attempts than that wait only for their turn to retry.
TEST_F(PurgeTest, AttemptsThatReachNobodySpendNothingOfThePlan) {
  service->url = kNowhere;
  plan = Plan::free;
  std::vector<std::string> tags;
  for (int i = 0; i < 13; ++i) tags.push_back(fmt::format("t{}", i));
  const PurgeReport report = run(tags, 1);
  EXPECT_EQ(report.failed(), 13u);
  EXPECT_EQ(report.zones.front().requests, 26u);
  EXPECT_EQ(waited, flow::Duration::zero());
}

TEST_F(PurgeTest, ARefusalIsAboutTheItems) {
  service->fake.set_faults({.fail_items = {"bad"}});
  const PurgeReport alone = run({"bad"});
  EXPECT_EQ(alone.failed(), 1u);
  EXPECT_EQ(alone.ended(), nullptr);
  EXPECT_EQ(exit_code(alone), ExitCode::some_failed);
}

// Of two items, one meets a dead connection at each attempt, and the other a refusal.
TEST_F(PurgeTest, DifferentCausesAreNotTakenForOne) {
  settings.concurrency = 1;
  service->fake.set_faults(
      {.script = {{.route = "POST purge_cache", .first = 1, .last = 2, .fault = Fault::cut_before}},
       .fail_items = {"bad"}});
  const PurgeReport report = run({"unlucky", "bad"}, 1);
  EXPECT_EQ(report.failed(), 2u);
  EXPECT_EQ(report.ended(), nullptr);
  EXPECT_EQ(exit_code(report), ExitCode::some_failed);
}

TEST_F(PurgeTest, OneThatWasPurgedMakesTheOthersAFailureOfSome) {
  settings.concurrency = 1;
  service->fake.set_faults(
      {.script = {
           {.route = "POST purge_cache", .first = 2, .last = 99, .fault = Fault::cut_before}}});
  const PurgeReport report = run({"one", "two"}, 1);
  EXPECT_EQ(report.purged(), 1u);
  EXPECT_EQ(report.ended(), nullptr);
  EXPECT_EQ(exit_code(report), ExitCode::some_failed);
}

}  // namespace
}  // namespace sluice::cdn
