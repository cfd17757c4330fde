// What a cache does when it is full, busy, or the disk is.
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <random>
#include <thread>

#include "evict/gdsf_queue.h"
#include "localcache/cache_test.h"
#include "localcache/statistics.h"
#include "sqlite/database.h"

namespace sluice::localcache {
namespace {

class LimitsTest : public CacheFixture {};

// The rows, the mapped hits and the steps of the cache on disk against the policy in memory.
TEST_F(LimitsTest, EvictsAsThePolicyDoes) {
  constexpr std::uint64_t kBytes = 60'000;
  constexpr int kObjects = 1500;
  constexpr int kRequests = 12'000;
  options_.limits = {.max_bytes = kBytes};
  options_.sync = Sync::off;
  Cache cache = open();
  evict::GdsfQueue queue;
  std::mt19937_64 random(5);
  std::vector<double> weights;
  for (int i = 0; i < kObjects; ++i) weights.push_back(1 / std::pow(i + 1, 0.9));
  std::discrete_distribution<int> popular(weights.begin(), weights.end());
  int misses = 0;
  int expected = 0;
  for (int n = 0; n < kRequests; ++n) {
    const int object = popular(random);
    const std::string key = "object " + std::to_string(10'000 + object);
    const std::size_t size = 20 + static_cast<std::size_t>(object * 7919 % 400);
    if (!queue.hit(static_cast<std::uint64_t>(object))) {
      ++expected;
      const std::uint64_t bytes = key.size() + size;
      while (queue.size() + bytes > kBytes) queue.evict(now_);
      queue.add(static_cast<std::uint64_t>(object), 100, bytes);
    }
    const auto entry = cache.get(key);
    ASSERT_TRUE(entry);
    if (!*entry) {
      ++misses;
      ASSERT_TRUE(cache.set(key, std::string(size, 'v')));
    }
  }
  expect_clean(cache);
  EXPECT_GT(expected, kRequests / 10);
  EXPECT_LE(misses, expected + kRequests / 200) << "half a point more";
  EXPECT_GE(misses, expected - kRequests / 200);
  const StatisticsView view = cache.statistics()->view();
  EXPECT_EQ(view.counters[static_cast<std::size_t>(Counter::misses)], misses);
  EXPECT_EQ(view.counters[static_cast<std::size_t>(Counter::hits)], kRequests - misses);
  EXPECT_EQ(view.counters[static_cast<std::size_t>(Counter::evicted)],
            static_cast<std::uint64_t>(misses) - cache.size()->entries);
}

TEST_F(LimitsTest, ALargeValueMakesRoomInStepsWhichOthersPass) {
  options_.limits = {.max_bytes = 400'000};
  Cache cache = open();
  std::vector<std::string> keys;
  for (int i = 0; i < 3000; ++i) keys.push_back("key " + std::to_string(10'000 + i));
  std::vector<Operation> sets;
  const std::string value(100, 'v');
  for (const std::string& key : keys) {
    sets.push_back({.kind = Operation::Kind::set, .key = key, .value = value});
  }
  ASSERT_TRUE(cache.batch(sets));
  ASSERT_TRUE(cache.set("large", random_bytes(390'000, 1)));
  EXPECT_LE(cache.size()->bytes, 400'000);
  EXPECT_LT(cache.size()->entries, 100);
  EXPECT_EQ(get(cache, "large"), random_bytes(390'000, 1));
  expect_clean(cache);
}

TEST_F(LimitsTest, ExpiredEntriesGoFirstHoweverMany) {
  options_.limits = {.max_bytes = 50'000};
  Cache cache = open();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(cache.set("old " + std::to_string(i), random_bytes(1000, 1),
                          {.ttl = Milliseconds(10), .cost = std::chrono::hours(1)}));
  }
  for (int i = 0; i < 25; ++i) {
    ASSERT_TRUE(cache.set("live " + std::to_string(i), random_bytes(1000, 1)));
  }
  now_ += std::chrono::seconds(1);
  ASSERT_TRUE(cache.set("large", random_bytes(22'000, 1)));
  EXPECT_EQ(keys(cache, {.prefix = "live"}).size(), 25);
  EXPECT_EQ(get(cache, "large").size(), 22'000);
  expect_clean(cache);
}

TEST_F(LimitsTest, AReadDoesNotWaitForAWriter) {
  Cache cache = open();
  ASSERT_TRUE(cache.set("a", "1"));
  auto database = sqlite::Database::open(location_.database());
  ASSERT_TRUE(database);
  auto transaction = sqlite::Transaction::begin(*database);
  ASSERT_TRUE(transaction && database->run("UPDATE entry SET hits = 5"));
  EXPECT_EQ(get(cache, "a"), "1");
  EXPECT_EQ(*(*Cache::get_once(location_, "a"))->value.rest(), "1");
  EXPECT_EQ(cache.size()->entries, 1);
  // A write does, as long as it was told to.
  options_.busy_timeout = Milliseconds(30);
  Cache impatient = open();
  const auto set = impatient.set("a", "2");
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().code, ErrorCode::conflict);
  EXPECT_EQ(get(cache, "a"), "1");
}

// A limit on the size of files stands for the full disk.
TEST_F(LimitsTest, AFullDiskLosesNothing) {
  {
    Cache cache = open();
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(cache.set("key " + std::to_string(i), random_bytes(1000, 1)));
    }
  }
  const int code = wait_for(run_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    Cache cache = open();
    const rlimit limit{.rlim_cur = 400'000, .rlim_max = 400'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    int failures = 0;
    for (int i = 0; i < 400; ++i) {
      if (!cache.set("new " + std::to_string(i), random_bytes(3000, 1))) ++failures;
    }
    if (failures == 0) return 1;
    if (cache.set("large", random_bytes(900'000, 1))) return 2;
    for (int i = 0; i < 50; ++i) {
      if (get(cache, "key " + std::to_string(i)) != random_bytes(1000, 1)) return 3;
    }
    return 0;
  }));
  EXPECT_EQ(code, 0);
  Cache cache = open();
  EXPECT_TRUE(value_files().empty());
  EXPECT_EQ(get(cache, "key 7"), random_bytes(1000, 1));
  ASSERT_TRUE(cache.set("a", "1"));
  expect_clean(cache);
}

// As on a file system that several machines use.
TEST_F(LimitsTest, WorksWithTheRollbackJournal) {
  {
    open();
  }
  {
    auto database = sqlite::Database::open(location_.database());
    ASSERT_TRUE(database && database->run("PRAGMA journal_mode=DELETE"));
  }
  Cache cache = open();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(cache.set("key", std::to_string(i)));
    EXPECT_EQ(*(*Cache::get_once(location_, "key"))->value.rest(), std::to_string(i));
  }
  EXPECT_FALSE(std::filesystem::exists(location_.database() + "-wal"));
  ASSERT_TRUE(cache.gc());
  expect_clean(cache);
}

TEST_F(LimitsTest, TheFirstWhoWritesSetsTheLimits) {
  options_.limits = {.max_bytes = 5000};
  Cache one = open();
  OpenOptions others = options_;
  others.limits = {.max_bytes = 7000};
  Cache two = open(others);
  ASSERT_TRUE(one.set("a", "1"));
  EXPECT_EQ(two.size()->limits.max_bytes, 5000);
  ASSERT_TRUE(two.set("b", "1"));
  EXPECT_EQ(open(others).size()->limits.max_bytes, 5000);
  others.limits.max_bytes = 0;
  EXPECT_FALSE(Cache::open(location_, others));
}

TEST_F(LimitsTest, ManyReadersAtOnceEachSeeAWholeValue) {
  options_.now = nullptr;
  Cache cache = open();
  const auto value = [](int n) {
    return std::to_string(n) + ' ' + random_bytes(100'000, static_cast<std::uint64_t>(n)) +
           std::to_string(n);
  };
  ASSERT_TRUE(cache.set("a", value(0)));
  std::vector<pid_t> readers;
  for (int i = 0; i < 8; ++i) {
    readers.push_back(run_child([&]() -> int {
      OpenOptions reading = options_;
      reading.access = Access::read;
      Cache mine = open(reading);
      for (int n = 0; n < 300; ++n) {
        const std::string got = get(mine, "a");
        const int number = std::atoi(got.c_str());
        if (got != value(number)) return 1;
        if (number == 60) return 0;
      }
      return 0;
    }));
  }
  for (int n = 1; n <= 60; ++n) EXPECT_TRUE(cache.set("a", value(n)));
  for (const pid_t reader : readers) EXPECT_EQ(wait_for(reader), 0);
}

}  // namespace
}  // namespace sluice::localcache
