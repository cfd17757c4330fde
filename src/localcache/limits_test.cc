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

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class LimitsTest : public CacheFixture {};

TEST_F(LimitsTest, TheLimitHoldsAtEveryMoment) {
  options_.limits = {.max_bytes = 100'000};
  Cache cache = open();
  EXPECT_EQ(cache.size()->limits, options_.limits);
  std::mt19937 random(1);
  for (int i = 0; i < 1000; ++i) {
    const std::string key = "key " + std::to_string(i);
    const std::string value = random_bytes(random() % 3000, random());
    ASSERT_TRUE(cache.set(key, value));
    ASSERT_LE(cache.size()->bytes, 100'000);
    ASSERT_EQ(get(cache, key), value) << "what was just set is there";
  }
  EXPECT_GT(cache.size()->bytes, 90'000);
  expect_clean(cache);
  const auto set = cache.set("k", random_bytes(100'000, 1));
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().code, ErrorCode::too_large);
  EXPECT_NE(set.error().message.find("--max-size"), std::string::npos);
  ASSERT_TRUE(cache.set("k", random_bytes(99'999, 1)));
  EXPECT_EQ(keys(cache), std::vector<std::string>{"k"}) << "it has the room to itself";
  expect_clean(cache);
}

TEST_F(LimitsTest, ALimitOfEntries) {
  Cache cache = open();
  ASSERT_TRUE(cache.set_limits({.max_bytes = 1'000'000, .max_entries = 3}));
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(cache.set(std::to_string(i), "v"));
    ASSERT_LE(cache.size()->entries, 3);
  }
  ASSERT_TRUE(cache.set("9", "again"));
  EXPECT_EQ(cache.size()->entries, 3);
  EXPECT_EQ(get(cache, "9"), "again");
}

TEST_F(LimitsTest, LoweringTheLimitEvicts) {
  {
    Cache cache = open();
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(cache.set(std::to_string(i), std::string(97, 'v')));
    ASSERT_TRUE(cache.set_limits({.max_bytes = 10'000}));
    EXPECT_LE(cache.size()->bytes, 10'000);
    EXPECT_GE(cache.size()->bytes, 9'800);
    EXPECT_FALSE(cache.set_limits({.max_bytes = 0}));
  }
  Cache cache = open();
  EXPECT_EQ(cache.size()->limits.max_bytes, 10'000) << "it is kept";
  expect_clean(cache);
}

TEST_F(LimitsTest, EvictsTheExpiredThenTheCheapAndLargeAndUnused) {
  options_.limits = {.max_bytes = 10'000};
  Cache cache = open();
  const std::string kilobyte = random_bytes(990, 1);
  ASSERT_TRUE(cache.set("expires", kilobyte, {.ttl = seconds(1), .cost = minutes(9)}));
  ASSERT_TRUE(cache.set("costly", kilobyte, {.cost = minutes(1)}));
  ASSERT_TRUE(cache.set("small", "v"));
  ASSERT_TRUE(cache.set("read", kilobyte));
  ASSERT_TRUE(cache.set("large", random_bytes(4000, 1)));
  for (int i = 0; i < 30; ++i) EXPECT_EQ(get(cache, "read"), kilobyte);
  ASSERT_TRUE(cache.set("x", random_bytes(2000, 3)));
  now_ += seconds(2);
  ASSERT_TRUE(cache.set("y", random_bytes(1500, 3)));
  EXPECT_EQ(get(cache, "expires", {.stale_ok = true}), "(none)");
  EXPECT_EQ(cache.size()->entries, 6);
  ASSERT_TRUE(cache.set("z", random_bytes(2000, 3)));
  EXPECT_EQ(get(cache, "large"), "(none)");
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(cache.set("new" + std::to_string(i), kilobyte));
  EXPECT_EQ(get(cache, "costly"), kilobyte);
  EXPECT_EQ(get(cache, "small"), "v");
  EXPECT_EQ(get(cache, "read"), kilobyte) << "it was read often, though no write has seen that";
  expect_clean(cache);
}

TEST_F(LimitsTest, HitsAreFoldedIn) {
  Cache cache = open();
  ASSERT_TRUE(cache.set("a", "1"));
  now_ += seconds(10);
  for (int i = 0; i < 5; ++i) get(cache, "a");
  EXPECT_EQ((*cache.get("a"))->info.hits, 0);
  ASSERT_TRUE(cache.gc());
  const auto entry = cache.get("a");
  EXPECT_EQ((*entry)->info.hits, 6);
  EXPECT_EQ((*entry)->info.used, now_);
  // The hits of an entry are not those of the next one with its id.
  ASSERT_TRUE(cache.erase("a"));
  ASSERT_TRUE(cache.set("b", "2"));
  ASSERT_TRUE(cache.gc());
  EXPECT_EQ((*cache.get("b"))->info.hits, 0);
}

// Each write looks for some, in places of its own, so that together they look everywhere.
TEST_F(LimitsTest, SetsFoldHitsIn) {
  Cache cache = open();
  constexpr std::uint64_t kRead = 20;
  for (std::uint64_t i = 0; i < kRead; ++i) ASSERT_TRUE(cache.set(std::to_string(i), "1"));
  for (std::uint64_t i = 0; i < kRead; ++i) {
    for (int times = 0; times < 3; ++times) get(cache, std::to_string(i));
  }
  std::uint64_t hits = 0;
  const auto folded = [&] {
    hits = 0;
    const auto listed = cache.list({}, [&](const EntryInfo& info) {
      hits += info.hits;
      return true;
    });
    EXPECT_TRUE(listed);
    return hits;
  };
  EXPECT_EQ(folded(), 0);
  for (std::uint64_t i = 0; i < 2 * Statistics::hit_places / 64; ++i) {
    const std::uint64_t before = hits;
    ASSERT_TRUE(cache.set("another", "1"));
    EXPECT_LE(folded() - before, 4 * 3) << "a bounded number each";
  }
  EXPECT_EQ(hits, kRead * 3);
}

TEST_F(LimitsTest, RowsKeepTheirPlaceSoThatAFullCacheStaysCompact) {
  options_.limits = {.max_bytes = 1'000'000};
  Cache cache = open();
  std::mt19937 random(1);
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(cache.set("key " + std::to_string(i), random_bytes(1000, random())));
    if (i % 3 == 0) get(cache, "key " + std::to_string(random() % static_cast<unsigned>(i + 1)));
  }
  ASSERT_TRUE(cache.gc());
  const auto size = cache.size();
  EXPECT_LE(static_cast<double>(size->disk_bytes), 1.3 * static_cast<double>(size->bytes));
}

// Whoever asks next must not take the value before it for the newest.
TEST_F(LimitsTest, AValueThatIsRefusedForItsSizeEndsTheOneBefore) {
  options_.limits = {.max_bytes = 200'000};
  Cache cache = open();
  const std::string large = random_bytes(200'000, 1);
  const std::vector<std::function<Result<>()>> ways = {
      [&] { return cache.set("key", large); },
      [&] { return cache.set_from("key", [&] { return Result<std::string_view>(large); }); },
      [&] {
        return cache.set_from(
            "key", [] { return Result<std::string_view>(""); }, {}, 3'000'000'000);
      },
      [&]() -> Result<> {
        const std::vector<Operation> steps = {
            {.kind = Operation::Kind::set, .key = "key", .value = large},
            {.kind = Operation::Kind::get, .key = "key"},
            {.kind = Operation::Kind::get, .key = "other"}};
        const auto answers = cache.batch(steps);
        EXPECT_FALSE(answers->at(1).found);
        EXPECT_TRUE(answers->at(2).found);
        return answers->at(0).done;
      }};
  ASSERT_TRUE(cache.set("other", "1"));
  for (const auto& way : ways) {
    for (const bool is_there : {true, false}) {
      if (is_there) ASSERT_TRUE(cache.set("key", "before"));
      const auto set = way();
      ASSERT_FALSE(set);
      EXPECT_EQ(set.error().code, ErrorCode::too_large);
      EXPECT_EQ(set.error().message.find("The value before it was deleted") != std::string::npos,
                is_there)
          << set.error().message;
      EXPECT_EQ(get(cache, "key"), "(none)");
    }
  }
  EXPECT_EQ(get(cache, "other"), "1");
  expect_clean(cache);
}

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
