// A damaged database is made anew of all that is left of it.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "localcache/damage_test.h"

namespace sluice::localcache {
namespace {

constexpr std::uint64_t kPage = 8192;

class RepairTest : public DamageFixture {
 protected:
  // A repair that must succeed; the namespace is clean afterwards.
  Repaired repair() {
    const auto repaired = Cache::repair(location_, options_);
    if (!repaired) throw std::runtime_error(repaired.error().message);
    Cache cache = open();
    expect_clean(cache);
    EXPECT_EQ(cache.size()->entries, repaired->kept);
    return *repaired;
  }
  std::uint64_t root_of(const std::string& table) {
    auto database = sqlite::Database::open(location_.database());
    return static_cast<std::uint64_t>(
        *database->number("SELECT rootpage FROM sqlite_schema WHERE name = '" + table + "'"));
  }
  // `page` counts from 1.
  void wipe(std::uint64_t page) const {
    overwrite(location_.database(), (page - 1) * kPage, std::string(kPage, '\0'));
  }
  void limit(const Limits& limits) {
    Cache cache = open();
    ASSERT_TRUE(cache.set_limits(limits));
    ASSERT_TRUE(cache.gc());
  }
};

TEST_F(RepairTest, NothingIsLostWithTheHeaderTheSchemaOrARoot) {
  constexpr int kCount = 150;
  constexpr Limits kLimits{.max_bytes = 7'000'000, .max_entries = 12'345};
  fill(kCount);
  limit(kLimits);
  const std::string intact = content(location_.database());
  const std::uint64_t root = root_of("entry");
  const std::vector<std::pair<std::string, std::function<void()>>> damages = {
      {"page 1 is zeroed", [&] { wipe(1); }},
      {"page 1 is garbage", [&] { overwrite(location_.database(), 0, random_bytes(kPage, 1)); }},
      {"the schema is garbage",
       [&] { overwrite(location_.database(), 100, random_bytes(kPage - 100, 2)); }},
      {"the root is zeroed", [&] { wipe(root); }},
      {"the root is garbage",
       [&] { overwrite(location_.database(), (root - 1) * kPage, random_bytes(kPage, 3)); }},
      {"the root is garbage that looks like an inner page",
       [&] {
         overwrite(location_.database(), (root - 1) * kPage + 12, random_bytes(kPage - 12, 4));
       }},
      {"page 1 and the root are zeroed",
       [&] {
         wipe(1);
         wipe(root);
       }},
  };
  for (const auto& [name, damage] : damages) {
    SCOPED_TRACE(name);
    std::filesystem::remove(location_.database() + "-wal");
    std::filesystem::remove(location_.database() + "-shm");
    std::ofstream(location_.database(), std::ios::binary) << intact;
    damage();
    const Repaired repaired = repair();
    EXPECT_TRUE(repaired.rebuilt);
    EXPECT_EQ(repaired.kept, kCount);
    EXPECT_EQ(repaired.dropped, 0);
    EXPECT_EQ(repaired.unreadable, 0);
    EXPECT_FALSE(repaired.limits_lost);
    Cache cache = open();
    EXPECT_EQ(cache.size()->limits, kLimits);
    EXPECT_EQ(expect_right(cache, kCount), kCount);
    EXPECT_EQ(keys(cache, {.tag = "odd"}).size(), kCount / 2);
    ASSERT_FALSE(HasFailure());
  }
}

TEST_F(RepairTest, AFileThatIsCutShortGivesWhatIsInFrontOfTheCut) {
  constexpr int kCount = 400;
  fill(kCount);
  const std::string intact = content(location_.database());
  for (const std::uint64_t size : {intact.size() / 2, intact.size() / 4 * 3 + 100}) {
    std::filesystem::remove(location_.database() + "-wal");
    std::filesystem::remove(location_.database() + "-shm");
    const std::string left = intact.substr(0, size / kPage * kPage);
    // What is intact is where its bytes are, if they are whole.
    std::uint64_t expected = 0;
    for (int i = 0; i < kCount; ++i) {
      if (i % 10 != 0 && left.find(value(i)) != std::string::npos) ++expected;
    }
    for (const std::string& name : value_files()) {
      if (left.find(name) != std::string::npos) ++expected;
    }
    ASSERT_GT(expected, kCount / 5);
    ASSERT_LT(expected, kCount);
    std::filesystem::copy(
        location_.values(), folder_ / "values",
        std::filesystem::copy_options::recursive | std::filesystem::copy_options::skip_existing);
    std::ofstream(location_.database(), std::ios::binary) << intact.substr(0, size);
    const Repaired repaired = repair();
    EXPECT_EQ(repaired.kept, expected);
    EXPECT_EQ(repaired.unreadable, kCount - expected - repaired.dropped);
    Cache cache = open();
    EXPECT_EQ(static_cast<std::uint64_t>(expect_right(cache, kCount)), expected);
    std::filesystem::copy(
        folder_ / "values", location_.values(),
        std::filesystem::copy_options::recursive | std::filesystem::copy_options::skip_existing);
  }
}

// In a tree of three levels, the pages between the root and the leaves.
TEST_F(RepairTest, NothingIsLostWithAnInnerPage) {
  constexpr int kCount = 2600;
  const auto wide = [](int i) { return random_bytes(3900, static_cast<std::uint64_t>(i)); };
  {
    Cache cache = open();
    for (int first = 0; first < kCount; first += 100) {
      std::vector<std::string> texts;
      for (int i = first; i < first + 100; ++i) {
        texts.push_back(key(i));
        texts.push_back(wide(i));
      }
      std::vector<Operation> sets;
      for (std::size_t i = 0; i < texts.size(); i += 2) {
        sets.push_back({.kind = Operation::Kind::set, .key = texts[i], .value = texts[i + 1]});
      }
      ASSERT_TRUE(cache.batch(sets));
    }
    ASSERT_TRUE(cache.gc());
  }
  const std::string intact = content(location_.database());
  std::vector<std::uint64_t> inner;
  for (std::uint64_t page = 2; page <= intact.size() / kPage; ++page) {
    if (intact[(page - 1) * kPage] == 5) inner.push_back(page);
  }
  ASSERT_GE(inner.size(), 3);
  inner.resize(3);
  inner.push_back(0);  // all of them, and the header
  for (const std::uint64_t page : inner) {
    SCOPED_TRACE(page);
    std::filesystem::remove(location_.database() + "-wal");
    std::filesystem::remove(location_.database() + "-shm");
    std::ofstream(location_.database(), std::ios::binary) << intact;
    if (page != 0) {
      wipe(page);
    } else {
      for (const std::uint64_t one : inner) wipe(std::max<std::uint64_t>(one, 1));
    }
    const Repaired repaired = repair();
    EXPECT_EQ(repaired.kept, kCount);
    EXPECT_EQ(repaired.unreadable, 0);
    Cache cache = open();
    for (int i = 0; i < kCount; ++i) ASSERT_EQ(get(cache, key(i)), wide(i)) << i;
  }
}

// The pages that deletes have freed still hold what was deleted.
TEST_F(RepairTest, WhatWasDeletedOrOverwrittenStaysSo) {
  constexpr int kCount = 600;
  const auto newer = [](int i) { return random_bytes(300, static_cast<std::uint64_t>(1000 + i)); };
  fill(kCount);
  std::set<int> live;
  {
    Cache cache = open();
    for (int i = 0; i < kCount; ++i) {
      if (i % 3 == 0) {
        live.insert(i);
        now_ += std::chrono::seconds(1);
        ASSERT_TRUE(cache.set(key(i), newer(i)));
      } else {
        ASSERT_TRUE(cache.erase(key(i)));
      }
    }
    ASSERT_TRUE(cache.gc());
  }
  {
    auto database = sqlite::Database::open(location_.database());
    ASSERT_GT(*database->number("PRAGMA freelist_count"), 10) << "there is nothing to tell";
  }
  const std::string intact = content(location_.database());
  const std::uint64_t root = root_of("entry");
  const auto damaged = [&](const std::vector<std::uint64_t>& pages) {
    std::filesystem::remove(location_.database() + "-wal");
    std::filesystem::remove(location_.database() + "-shm");
    std::ofstream(location_.database(), std::ios::binary) << intact;
    for (const std::uint64_t page : pages) wipe(page);
    return repair();
  };
  const auto expect_live = [&] {
    Cache cache = open();
    for (const int i : live) EXPECT_EQ(get(cache, key(i)), newer(i));
  };
  for (const std::uint64_t page : {root, std::uint64_t{1}}) {
    const Repaired repaired = damaged({page});
    EXPECT_EQ(repaired.kept, live.size()) << page;
    EXPECT_EQ(repaired.unsure, 0) << page;
    expect_live();
  }
  // With both lost, nothing tells what was deleted; the newest of several still counts.
  const Repaired repaired = damaged({1, root});
  EXPECT_GE(repaired.kept, live.size());
  EXPECT_EQ(repaired.unsure, repaired.kept) << "and that is said";
  expect_live();
}

TEST_F(RepairTest, WhatIsInTheLogCounts) {
  constexpr int kCount = 100;
  fill(kCount);
  Cache cache = open();
  ASSERT_TRUE(cache.set(key(5), "from the log"));
  ASSERT_TRUE(cache.erase(key(6)));
  ASSERT_TRUE(cache.set("another", "from the log"));
  const std::uint64_t root = root_of("entry");
  // As a crash leaves it.
  const Location crashed{.root = location_.root, .name = "crashed"};
  std::filesystem::copy(location_.folder(), crashed.folder(),
                        std::filesystem::copy_options::recursive);
  location_ = crashed;
  ASSERT_GT(std::filesystem::file_size(location_.database() + "-wal"), 3 * kPage);
  wipe(1);
  wipe(root);
  const Repaired repaired = repair();
  EXPECT_EQ(repaired.kept, kCount);
  Cache again = open();
  EXPECT_EQ(get(again, key(5)), "from the log");
  EXPECT_EQ(get(again, key(6)), "(none)");
  EXPECT_EQ(get(again, "another"), "from the log");
  EXPECT_EQ(get(again, key(7)), value(7));
}

// SQLite takes an empty file for a new database, and throws its log away.
TEST_F(RepairTest, ADatabaseThatIsGoneGivesWhatIsInItsLog) {
  for (const bool removed : {false, true}) {
    location_.name = fmt::format("whole{}", removed);
    const Location crashed{.root = location_.root, .name = fmt::format("crashed{}", removed)};
    {
      Cache cache = open();
      ASSERT_TRUE(cache.set("a", "1"));
      std::filesystem::copy(location_.folder(), crashed.folder(),
                            std::filesystem::copy_options::recursive);
    }
    location_ = crashed;
    if (removed) {
      ASSERT_TRUE(std::filesystem::remove(location_.database()));
    } else {
      ASSERT_EQ(truncate(location_.database().c_str(), 0), 0);
    }
    // Nobody takes it for a cache without entries, or makes it one.
    EXPECT_THAT(Cache::get_once(location_, "a", {}, options_).error().message,
                testing::HasSubstr("cache repair"));
    for (const Access access : {Access::read, Access::change, Access::write}) {
      OpenOptions options = options_;
      options.access = access;
      const auto refused = Cache::open(location_, options);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
      EXPECT_THAT(refused.error().message, testing::HasSubstr("cache repair"));
    }
    EXPECT_EQ(repair().kept, 1);
    Cache cache = open();
    EXPECT_EQ(get(cache, "a"), "1");
  }
}

TEST_F(RepairTest, WithoutTheTotalsNothingGoesAndItIsSaid) {
  constexpr int kCount = 30;
  fill(kCount);
  limit({.max_bytes = 50'000'000});
  wipe(root_of("state"));
  options_.limits = {.max_bytes = 1000};
  const Repaired repaired = repair();
  EXPECT_EQ(repaired.kept, kCount);
  EXPECT_TRUE(repaired.limits_lost);
  EXPECT_EQ(repaired.unreadable, 0) << "all leaves were there";
  {
    Cache cache = open();
    EXPECT_EQ(expect_right(cache, kCount), kCount);
    EXPECT_EQ(cache.size()->limits.max_bytes, cache.size()->bytes);
  }
  wipe(root_of("entry"));
  wipe(root_of("state"));
  EXPECT_FALSE(repair().unreadable) << "nobody knows";
}

TEST_F(RepairTest, FindsAndRepairsWrongTotalsTagsAndOrphans) {
  fill(40);
  run_sql(
      "UPDATE state SET entries = 7, bytes = 7, file_bytes = 7;"
      "DELETE FROM tag WHERE id = 3; INSERT INTO tag VALUES(CAST('none' AS BLOB), 5)");
  std::ofstream(location_.values() + "/0123456789abcdef") << "orphan";
  std::ofstream(location_.values() + "/new-0123456789abcdef") << "abandoned";
  {
    Cache cache = open();
    const auto verified = cache.verify();
    std::vector<Problem::Kind> kinds;
    for (const Problem& problem : verified->problems) kinds.push_back(problem.kind);
    std::ranges::sort(kinds);
    using Kind = Problem::Kind;
    EXPECT_EQ(kinds,
              (std::vector<Kind>{Kind::count, Kind::tags, Kind::orphan_file, Kind::orphan_file}));
    EXPECT_FALSE(Cache::repair(location_, {.busy_timeout = Milliseconds(20)}))
        << "it is open, here";
  }
  const auto repaired = Cache::repair(location_, options_);
  ASSERT_TRUE(repaired) << repaired.error().message;
  EXPECT_EQ(repaired->kept, 40);
  EXPECT_EQ(repaired->dropped, 0);
  EXPECT_FALSE(repaired->rebuilt);
  Cache cache = open();
  expect_clean(cache);
  EXPECT_EQ(expect_right(cache, 40), 40);
  EXPECT_EQ(keys(cache, {.tag = "odd"}).size(), 20);
}

// Page after page of the database is made unreadable: what is on the others is saved.
TEST_F(RepairTest, RepairSavesWhatTheOtherPagesHold) {
  constexpr int kCount = 150;
  fill(kCount);
  const std::string intact = content(location_.database());
  const std::uint64_t pages = intact.size() / 8192;
  ASSERT_GT(pages, 12);
  constexpr auto kSkip =
      std::filesystem::copy_options::recursive | std::filesystem::copy_options::skip_existing;
  std::filesystem::copy(location_.values(), folder_ / "values", kSkip);
  for (std::uint64_t page = 0; page < pages; ++page) {
    for (const auto& entry : std::filesystem::directory_iterator(location_.folder())) {
      if (entry.path().filename().string().starts_with("cache.db")) {
        std::filesystem::remove(entry.path());
      }
    }
    std::ofstream(location_.database(), std::ios::binary) << intact;
    overwrite(location_.database(), page * 8192, random_bytes(8192, page));
    {
      const auto opened = Cache::open(location_, options_);
      if (opened) {
        // Reads may work or fail; what they give is right.
        Cache& cache = const_cast<Cache&>(*opened);
        expect_right(cache, kCount);
      } else {
        EXPECT_EQ(opened.error().code, ErrorCode::corrupt) << opened.error().message;
        EXPECT_NE(opened.error().message.find("sluice cache repair"), std::string::npos);
      }
    }
    const auto repaired = Cache::repair(location_, options_);
    ASSERT_TRUE(repaired) << page << ": " << repaired.error().message;
    if (repaired->rebuilt) EXPECT_TRUE(std::filesystem::exists(repaired->saved_as));
    {
      Cache cache = open();
      expect_clean(cache);
      const int found = expect_right(cache, kCount);
      EXPECT_EQ(found, static_cast<int>(repaired->kept));
      // A leaf holds about fifteen of these, and other pages none.
      EXPECT_GE(found, kCount - 20) << page;
      if (repaired->unreadable) {
        EXPECT_EQ(found + repaired->dropped + *repaired->unreadable, kCount) << page;
      }
      ASSERT_TRUE(cache.set("new", "value"));
      EXPECT_EQ(get(cache, "new"), "value");
    }
    // Files that no saved entry names have gone, and the next round needs them.
    std::filesystem::copy(folder_ / "values", location_.values(), kSkip);
  }
}

TEST_F(RepairTest, AFileThatIsNoDatabaseIsReplacedByARepair) {
  fill(1);
  std::ofstream(location_.database()) << "this is no database, but a text that somebody put here";
  EXPECT_EQ(Cache::open(location_, options_).error().code, ErrorCode::corrupt);
  const auto repaired = Cache::repair(location_, options_);
  ASSERT_TRUE(repaired) << repaired.error().message;
  EXPECT_TRUE(repaired->rebuilt);
  EXPECT_EQ(repaired->kept, 0);
  Cache cache = open();
  ASSERT_TRUE(cache.set("a", "1"));
  expect_clean(cache);
}

// Killed between taking the damaged one away and putting the new one in its place.
TEST_F(RepairTest, ARepairThatWasKilledIsFinishedAndNobodyBeginsAnewMeanwhile) {
  fill(20);
  std::filesystem::rename(location_.database(), location_.repaired_database());
  std::ofstream(location_.database() + "-wal") << "of the damaged one";
  for (const auto access : {Access::read, Access::write, Access::change}) {
    options_.access = access;
    const auto cache = Cache::open(location_, options_);
    ASSERT_FALSE(cache);
    EXPECT_EQ(cache.error().code, ErrorCode::corrupt);
    EXPECT_NE(cache.error().message.find("cache repair"), std::string::npos);
  }
  options_.access = Access::write;
  const Repaired repaired = repair();
  EXPECT_TRUE(repaired.rebuilt);
  EXPECT_EQ(repaired.kept, 20);
  Cache cache = open();
  EXPECT_EQ(expect_right(cache, 20), 20);
  // What one leaves that is killed earlier is not needed once the database is in order.
  std::ofstream(location_.repaired_database()) << "x";
  std::ofstream(location_.database() + ".repair") << "x";
  ASSERT_TRUE(cache.gc());
  EXPECT_FALSE(std::filesystem::exists(location_.repaired_database()));
  EXPECT_FALSE(std::filesystem::exists(location_.database() + ".repair"));
}

// A write that the disk lost leaves an old page in the table.
TEST_F(RepairTest, OfTwoEntriesOfOneKeyTheOneSetLastCounts) {
  const std::string old_value = random_bytes(300, 77);
  const std::string new_value = random_bytes(300, 78);
  std::string before;
  {
    Cache cache = open();
    for (int i = 0; i < 60; ++i) ASSERT_TRUE(cache.set("early " + std::to_string(i), value(1)));
    ASSERT_TRUE(cache.set("key", old_value));
    ASSERT_TRUE(cache.gc());
    before = content(location_.database());
    ASSERT_TRUE(cache.erase("key"));
    now_ += std::chrono::seconds(10);
    for (int i = 0; i < 140; ++i) ASSERT_TRUE(cache.set("late " + std::to_string(i), value(2)));
    ASSERT_TRUE(cache.set("key", new_value));
    for (int i = 0; i < 60; ++i) ASSERT_TRUE(cache.set("last " + std::to_string(i), value(3)));
    ASSERT_TRUE(cache.gc());
  }
  const std::size_t page = before.find(old_value) / kPage * kPage;
  ASSERT_NE(content(location_.database()).find(new_value), std::string::npos);
  overwrite(location_.database(), page, before.substr(page, kPage));
  const auto repaired = repair();
  Cache cache = open();
  auto entry = cache.get("key");
  ASSERT_TRUE(entry && *entry);
  EXPECT_EQ((*entry)->value.rest(), new_value);
  EXPECT_TRUE(repaired.rebuilt);
}

TEST_F(RepairTest, LeavesThatAnInnerPageDoesNotNameAnyMoreAreFound) {
  constexpr int kCount = 300;
  fill(kCount);
  const std::uint64_t root = root_of("entry");
  // Of its children, one is left, and the last.
  overwrite(location_.database(), (root - 1) * kPage + 3, std::string("\0\1", 2));
  const Repaired repaired = repair();
  EXPECT_EQ(repaired.kept, kCount);
  EXPECT_GT(repaired.unsure, 0u);
  EXPECT_EQ(repaired.unreadable, 0);
  Cache cache = open();
  EXPECT_EQ(expect_right(cache, kCount), kCount);
}

TEST_F(RepairTest, WhatAnEmptiedLeafHadIsCounted) {
  constexpr int kCount = 300;
  fill(kCount);
  const std::string bytes = content(location_.database());
  const std::uint64_t page = bytes.find(value(151)) / kPage;
  ASSERT_EQ(bytes[page * kPage], '\x0d');
  overwrite(location_.database(), page * kPage + 3, std::string(2, '\0'));
  const Repaired repaired = repair();
  EXPECT_LT(repaired.kept, kCount);
  EXPECT_EQ(repaired.unreadable, kCount - repaired.kept - repaired.dropped);
}

}  // namespace
}  // namespace sluice::localcache
