#include "cdn/zones.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "cdn/service_test.h"
#include "cdn/zone_answer.h"

namespace sluice::cdn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ZoneNames, AreThoseAboveAHost) {
  EXPECT_THAT(zone_names_of("A.b.example.com"),
              ElementsAre("a.b.example.com", "b.example.com", "example.com"));
  EXPECT_TRUE(zone_names_of("localhost").empty());
  EXPECT_TRUE(is_zone_id("0123456789abcdefABCDEF0123456789"));
  EXPECT_FALSE(is_zone_id("0123456789abcdefABCDEF012345678"));
  EXPECT_FALSE(is_zone_id("0123456789abcdefABCDEF012345678.com"));
}

TEST(ZoneAnswer, ReadsWhatItNeedsAndRefusesTheRest) {
  ZonePage page;
  std::string body =
      R"({"success":true,"errors":[],"result":[{"id":"1","name":"a.b","status":"active","plan":)"
      R"({"legacy_id":"pro","price":20},"account":{"id":"7","name":"x"},"more":[1]},{"id":"2",)"
      R"("plan":null,"account":"none"}],"result_info":{"total_count":9}})";
  const auto envelope = read_zones(body, page);
  ASSERT_TRUE(envelope && envelope->success);
  ASSERT_EQ(page.zones.size(), 2u);
  EXPECT_EQ(page.zones[0].plan, "pro");
  EXPECT_EQ(page.zones[0].account_id, "7");
  EXPECT_EQ(page.zones[1].plan, "");
  EXPECT_EQ(page.total_count, 9u);
  for (const char* text : {"", "[]", R"({"success":true})", R"({"success":true,"result":[{}]})",
                           R"({"success":true,"result":[{"id":"1"}]})x",
                           R"({"success":true,"result":{"id":"1"}})"}) {
    body = text;
    EXPECT_FALSE(read_zones(body, page)) << text;
  }
  Zone zone;
  body = R"({"success":false,"errors":[{"code":7003,"message":"no"}],"result":null})";
  const auto refused = read_zone(body, zone);
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->success);
  EXPECT_EQ(refused->code, 7003);
}

struct ZonesTest : ::testing::Test {
  void start(std::vector<std::string> names) {
    cloudflare_fake::Options options;
    for (std::string& name : names) options.zones.emplace_back(std::move(name), "pro");
    service.emplace(loop.executor(), stop, log, options);
    connection = service->connect();
  }
  template <class Body>
  void run(Body body) {
    const auto task = [&]() -> io::Task<int> {
      Zones zones(connection);
      co_await body(zones);
      co_return 0;
    };
    loop.run(task());
  }
  std::uint64_t requests() { return service->fake.stats().total; }

  io::Loop loop;
  io::Stop stop{loop.executor()};
  Log log{LogLevel::off};
  std::optional<TestService> service;
  std::shared_ptr<store::cloudflare::Connection> connection;
};

TEST_F(ZonesTest, OneHostIsWalkedUpInAsFewRequestsAsPossible) {
  start({"example.com", "b.example.com", "example.org"});
  run([&](Zones& zones) -> io::Task<> {
    const std::set<std::string, std::less<>> hosts{"a.b.example.com", "www.example.com",
                                                   "example.org", "nowhere.test"};
    const auto found = co_await zones.of_hosts(hosts);
    EXPECT_TRUE(found);
    EXPECT_EQ(found->size(), 3u);
    EXPECT_EQ(found->at("a.b.example.com").name, "b.example.com");
    EXPECT_EQ(found->at("www.example.com").name, "example.com");
    EXPECT_EQ(found->at("example.org").plan, "pro");
    EXPECT_EQ(requests(), 1u);
    (void)co_await zones.get("example.org");
    EXPECT_EQ(requests(), 1u);
  });
}

TEST_F(ZonesTest, FewHostsAmongThousandsOfZonesAreLookedUp) {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back(fmt::format("zone-{:04}.test", i));
  start(names);
  run([&](Zones& zones) -> io::Task<> {
    const std::set<std::string, std::less<>> one{"zone-0999.test"};
    auto found = co_await zones.of_hosts(one);
    EXPECT_EQ(found->size(), 1u);
    EXPECT_EQ(requests(), 1u);
    const std::set<std::string, std::less<>> more{"a.zone-0998.test", "zone-0999.test"};
    found = co_await zones.of_hosts(more);
    EXPECT_EQ(found->size(), 2u);
    // The first page, and two names that were not known: not twenty pages.
    EXPECT_EQ(requests(), 4u);
  });
}

TEST_F(ZonesTest, WhatTheCacheKnowsCostsNoRequest) {
  start({"example.com", "other.test"});
  std::string folder = std::filesystem::temp_directory_path() / "sluice-zones-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::set<std::string, std::less<>> hosts{"www.example.com", "other.test"};
  std::string id;
  // As a run of the program would: nothing is known but what the cache holds.
  const auto run_cached = [&](std::string account, auto body) {
    const auto task = [&]() -> io::Task<int> {
      auto cache = std::make_shared<store::AnswerCache>(
          store::AnswerCache::Options{.root = folder, .limits = {}, .now = nullptr}, log);
      Zones zones(connection, account, cache);
      co_await body(zones);
      co_return 0;
    };
    loop.run(task());
  };
  const auto look = [&](Zones& zones) -> io::Task<> {
    const auto zone = co_await zones.get("Example.com");
    EXPECT_TRUE(zone);
    id = zone->id;
    EXPECT_EQ(zone->name, "example.com");
    EXPECT_EQ(zone->plan, "pro");
    EXPECT_EQ(zone->status, "active");
    const auto found = co_await zones.of_hosts(hosts);
    EXPECT_TRUE(found);
    EXPECT_EQ(found->size(), 2u);
    EXPECT_EQ(found->at("www.example.com").id, id);
  };
  const std::string account = cloudflare_fake::Options().account;
  run_cached("", look);
  const std::uint64_t first = requests();
  EXPECT_GE(first, 2u);
  run_cached("", look);
  EXPECT_EQ(requests(), first);
  run_cached(account, look);
  EXPECT_EQ(requests(), 2 * first) << "the zones of one account are another question";
  run_cached("", [&](Zones& zones) -> io::Task<> {
    const auto found = co_await zones.of_hosts(hosts);
    co_await zones.forget(found->at("www.example.com"));
  });
  EXPECT_EQ(requests(), 2 * first);
  run_cached("", look);
  EXPECT_EQ(requests(), 3 * first);
  run_cached("", [&](Zones& zones) -> io::Task<> {
    for (int i = 0; i < 2; ++i) {
      const auto none = co_await zones.get("nowhere.test");
      EXPECT_EQ(none.error().code, ErrorCode::not_found);
    }
  });
  run_cached("", [&](Zones& zones) -> io::Task<> { (void)co_await zones.get("nowhere.test"); });
  EXPECT_EQ(requests(), 3 * first + 2) << "that there is none is asked anew by each run";
  std::filesystem::remove_all(folder);
}

TEST_F(ZonesTest, AFailureIsNotAnAbsentZone) {
  start({"example.com"});
  service->fake.set_faults({.rates = {{cloudflare_fake::Fault::forbidden, 100.0}}});
  run([&](Zones& zones) -> io::Task<> {
    const auto listed = co_await zones.list();
    EXPECT_EQ(listed.error().code, ErrorCode::unauthorized);
    EXPECT_THAT(listed.error().message, HasSubstr("Zone, Read"));
    const auto got = co_await zones.get("example.com");
    EXPECT_EQ(got.error().code, ErrorCode::unauthorized);
    service->fake.set_faults({});
    const auto again = co_await zones.get("example.com");
    EXPECT_TRUE(again);
  });
}

}  // namespace
}  // namespace sluice::cdn
