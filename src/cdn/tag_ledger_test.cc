#include "cdn/tag_ledger.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <set>

#include "bulk/erase.h"
#include "bulk/job_test.h"
#include "cdn/service_test.h"

namespace sluice::cdn {
namespace {

using bulk::Report;
using store::Fault;
using store::FaultyCall;
using store::Operation;
using ::testing::HasSubstr;

constexpr std::string_view kZone = "example.com";

struct TagLedgerTest : bulk::JobFixture {
  TagLedgerTest() {
    cloudflare_fake::Options options;
    options.zones.emplace_back(kZone, "enterprise");
    service.emplace(loop.executor(), *stop, log, options);
    api.emplace(service->connect());
  }

  // Deletes all entries ("key:0000" …, with a tag "t<n % 5>" and every third "old").
  Report run(store::FaultyStore::Hook hook, bool resumed = false) {
    bulk::Job with = job();
    store::Store& store = faulty(std::move(hook));
    const auto body = [&]() -> io::Task<Report> {
      auto spool = co_await ItemSpool::open(folder + "/tags");
      if (resumed) (void)co_await (*spool)->presume();
      TagLedger ledger(with, *api, **spool,
                       {.zones = {Zone{.id = cloudflare_fake::zone_id_of(kZone)}},
                        .fixed = {"fixed"},
                        .field = std::nullopt,
                        .dry_run = false,
                        .failure_path = folder + "/unpurged"});
      bulk::EraseOptions options{.selection = {.all = true}, .guard = {}, .witness = &ledger};
      Report report = co_await bulk::erase(with, store, std::move(options));
      left = ledger.left();
      co_return report;
    };
    return loop.run(body());
  }

  // What has arrived, each once.
  std::set<std::string> purged() {
    std::set<std::string> tags;
    for (const std::string& item : service->fake.purged(kZone, "tags")) {
      tags.insert(std::string(boost::json::parse(item).as_string()));
    }
    return tags;
  }

  std::optional<TestService> service;
  std::optional<PurgeApi> api;
  std::uint64_t left = 0;
};

const std::set<std::string> kAll{"fixed", "old", "t0", "t1", "t2", "t3", "t4"};

TEST_F(TagLedgerTest, PurgesOnceWhenAllIsDeleted) {
  fill(100);
  const Report report = run({});
  EXPECT_FALSE(report.ended_early);
  EXPECT_EQ(purged(), kAll);
  EXPECT_EQ(service->fake.stats().requests.at("POST purge_cache"), 1u);
}

TEST_F(TagLedgerTest, LeavesOutWhatTheStoreHasKept) {
  fill(5);
  const auto hook = [](const FaultyCall& call) {
    Fault fault;
    if (call.operation != Operation::erase) return fault;
    for (std::size_t i = 0; i < call.keys.size(); ++i) {
      const bool kept = call.keys[i] == "key:0001" || call.keys[i] == "key:0000";
      if (kept) {
        const Error refused{ErrorCode::conflict, Retry::never, std::nullopt, "kept"};
        fault.failing_keys.push_back({i, refused});
      }
    }
    return fault;
  };
  const Report report = run(hook);
  EXPECT_EQ(report.counts.failed, 2u);
  // key:0003 is old, too.
  EXPECT_EQ(purged(), (std::set<std::string>{"fixed", "old", "t2", "t3", "t4"}));
}

TEST_F(TagLedgerTest, PurgesWhatMayBeGoneBecauseNobodyAnswered) {
  fill(2);
  const auto hook = [](const FaultyCall& call) {
    Fault fault;
    const bool last = call.keys.size() == 1 && call.keys[0] == "key:0001";
    if (call.operation == Operation::erase && (call.keys.size() > 1 || last)) {
      fault.fails = Error{ErrorCode::network, Retry::never, std::nullopt, "the connection broke"};
      fault.applied = last;
    }
    return fault;
  };
  const Report report = run(hook);
  EXPECT_EQ(report.counts.failed, 1u);
  EXPECT_EQ(purged(), (std::set<std::string>{"fixed", "old", "t0", "t1"}));
}

TEST_F(TagLedgerTest, ForgetsNothingWhenARunIsCutOffInTheMiddle) {
  fill(100);
  const auto hook = [](const FaultyCall& call) {
    Fault fault;
    if (call.operation == Operation::erase && call.number == 2) {
      // Carried out, and then everything ends.
      fault.fails = Error{ErrorCode::unauthorized, Retry::fatal, std::nullopt, "no more"};
      fault.applied = true;
    }
    return fault;
  };
  Report report = run(hook);
  ASSERT_TRUE(report.ended_early);
  EXPECT_GT(left, 0u);
  report = run({}, true);
  EXPECT_FALSE(report.ended_early);
  EXPECT_EQ(left, 0u);
  EXPECT_EQ(purged(), kAll);
  EXPECT_FALSE(std::filesystem::exists(folder + "/unpurged"));
}

TEST_F(TagLedgerTest, TellsWhatItCouldNotPurge) {
  fill(10);
  service->fake.set_faults({.rates = {{cloudflare_fake::Fault::forbidden, 100.0}}});
  const Report report = run({});
  ASSERT_TRUE(report.ended_early);
  EXPECT_EQ(report.ended_early->code, ErrorCode::unauthorized);
  EXPECT_THAT(report.ended_early->message, HasSubstr("7 of 7 cache tags were not purged"));
  EXPECT_EQ(report.counts.done, 10u);
  EXPECT_EQ(left, 7u);
  service->fake.set_faults({});
  (void)run({}, true);  // nothing is left to delete
  EXPECT_EQ(purged(), kAll);
}

}  // namespace
}  // namespace sluice::cdn
