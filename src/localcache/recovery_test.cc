// Damage: what was written wrong, cut off, or lost is found, said, and never given out.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "localcache/cache_test.h"
#include "localcache/statistics.h"
#include "sqlite/database.h"

namespace sluice::localcache {
namespace {

class RecoveryTest : public CacheFixture {
 protected:
  // `count` entries, of which every tenth is in a file.
  void fill(int count) {
    Cache cache = open();
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(cache.set(key(i), value(i), {.tags = {i % 2 == 0 ? "even" : "odd"}}));
    }
    ASSERT_TRUE(cache.gc());  // nothing is left in the log
  }
  static std::string key(int i) { return "key " + std::to_string(i); }
  static std::string value(int i) {
    return random_bytes(i % 10 == 0 ? 70'000 : 500, static_cast<std::uint64_t>(i));
  }
  void overwrite(const std::string& path, std::uint64_t position, const std::string& bytes) const {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(position));
    file << bytes;
    ASSERT_TRUE(file.good());
  }
  void run_sql(const std::string& sql) {
    auto database = sqlite::Database::open(location_.database());
    ASSERT_TRUE(database);
    const auto done = database->run(sql);
    ASSERT_TRUE(done) << done.error().message;
  }
  // Whatever is there is right; returns how many that are.
  int expect_right(Cache& cache, int count) {
    int found = 0;
    for (int i = 0; i < count; ++i) {
      auto entry = cache.get(key(i));
      if (!entry) {
        EXPECT_EQ(entry.error().code, ErrorCode::corrupt) << entry.error().message;
      } else if (*entry) {
        const auto got = (*entry)->value.rest();
        EXPECT_TRUE(got && *got == value(i)) << key(i);
        ++found;
      }
    }
    return found;
  }
};

TEST_F(RecoveryTest, ADamagedValueIsNotGivenOut) {
  fill(20);
  run_sql("UPDATE entry SET stored = zeroblob(500) WHERE key = CAST('key 3' AS BLOB)");
  Cache cache = open();
  const auto got = cache.get("key 3");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ErrorCode::corrupt);
  EXPECT_NE(got.error().message.find("\"key 3\""), std::string::npos) << got.error().message;
  EXPECT_NE(got.error().message.find("sluice cache repair --ns default"), std::string::npos);
  EXPECT_EQ(cache.verify()->problem_count, 1);
  EXPECT_EQ(cache.verify()->problems[0].kind, Problem::Kind::content);
  EXPECT_EQ(expect_right(cache, 20), 19);
  // A write heals it.
  ASSERT_TRUE(cache.set("key 3", value(3)));
  EXPECT_EQ(expect_right(cache, 20), 20);
  expect_clean(cache);
}

TEST_F(RecoveryTest, WhatIsNotTheValueIsCoveredToo) {
  fill(3);
  for (const char* change : {"created = created + 1", "expires = 9999999999999", "tags = NULL",
                             "value_bytes = value_bytes + 1", "form = 1"}) {
    run_sql("CREATE TABLE saved AS SELECT * FROM entry WHERE id = 2");
    run_sql(std::string("UPDATE entry SET ") + change + " WHERE id = 2");
    {
      Cache cache = open();
      EXPECT_FALSE(cache.get("key 1")) << change;
    }
    run_sql(
        "DELETE FROM entry WHERE id = 2; INSERT INTO entry SELECT * FROM saved; DROP TABLE saved");
  }
}

TEST_F(RecoveryTest, ADamagedValueFileIsNotGivenOut) {
  fill(1);
  const std::string path = location_.values() + "/" + value_files().at(0);
  Cache cache = open();
  for (const std::uint64_t position : {0, 9, 12, 16, 24, 32, 40, 70'000}) {
    std::ifstream before(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(before), {}};
    std::string other = bytes.substr(position, 1);
    other[0] = static_cast<char>(other[0] ^ 1);
    overwrite(path, position, other);
    const auto got = cache.get("key 0");
    ASSERT_FALSE(got) << position;
    EXPECT_EQ(got.error().code, ErrorCode::corrupt);
    overwrite(path, position, bytes.substr(position, 1));
    EXPECT_EQ(get(cache, "key 0"), value(0));
  }
  ASSERT_EQ(truncate(path.c_str(), 50'000), 0);
  EXPECT_FALSE(cache.get("key 0"));
  std::filesystem::remove(path);
  const auto lost = cache.get("key 0");
  ASSERT_FALSE(lost);
  EXPECT_NE(lost.error().message.find("there is no file " + path), std::string::npos)
      << lost.error().message;
  EXPECT_EQ(cache.verify()->problems.at(0).kind, Problem::Kind::lost_value);
}

TEST_F(RecoveryTest, FindsAndRepairsWrongTotalsTagsAndOrphans) {
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

TEST_F(RecoveryTest, GcRemovesOrphans) {
  fill(11);
  std::ofstream(location_.values() + "/0123456789abcdef") << "orphan";
  Cache cache = open();
  EXPECT_EQ(cache.gc()->orphans, 1);
  EXPECT_EQ(expect_right(cache, 11), 11);
  expect_clean(cache);
}

// Whoever can write in the folder of a shared cache must not lead others to files of theirs.
TEST_F(RecoveryTest, FoldersThatAreLinksAreNotFollowed) {
  fill(11);
  const std::filesystem::path target = folder_ / "precious";
  std::filesystem::create_directory(target);
  const std::vector<std::string> names = {"0123456789abcdef", "new-0123456789abcdef", "n-lock"};
  for (const std::string& name : names) std::ofstream(target / name) << "mine";
  const auto expect_untouched = [&](std::string_view when) {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(target)) ++count;
    EXPECT_EQ(count, names.size()) << when;
    for (const std::string& name : names) {
      std::ifstream file(target / name);
      EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "mine") << when << name;
    }
  };
  for (const bool for_group : {false, true}) {
    location_.for_group = for_group;
    for (const std::string& inner : {location_.values(), location_.locks()}) {
      Cache before = open();
      std::filesystem::rename(inner, inner + ".real");
      std::filesystem::create_directory_symlink(target, inner);
      const auto opened = Cache::open(location_, options_);
      ASSERT_FALSE(opened);
      EXPECT_NE(opened.error().message.find(inner + " is a symbolic link"), std::string::npos)
          << opened.error().message;
      const auto repaired = Cache::repair(location_, {.busy_timeout = Milliseconds(20)});
      EXPECT_FALSE(repaired);
      // One that was open when the link was put there.
      EXPECT_FALSE(before.gc());
      if (inner == location_.values()) {
        EXPECT_FALSE(before.set("large", random_bytes(100'000, 1)));
        EXPECT_FALSE(before.get("key 0"));
        EXPECT_FALSE(before.verify());
      }
      expect_untouched(inner);
      std::filesystem::remove(inner);
      std::filesystem::rename(inner + ".real", inner);
    }
  }
  location_.for_group = false;
  Cache before = open();
  std::filesystem::rename(location_.values(), location_.values() + ".real");
  std::filesystem::create_directory_symlink(target, location_.values());
  EXPECT_FALSE(before.clear());
  expect_untouched("clear");
}

// Nothing of it waits for whoever would write into the pipe.
TEST_F(RecoveryTest, AValueFileThatIsNoFileIsDamage) {
  const std::filesystem::path elsewhere = folder_ / "elsewhere";
  std::ofstream(elsewhere) << "mine";
  const std::vector<std::function<void(const std::string&)>> plants = {
      [](const std::string& path) { ASSERT_EQ(mkfifo(path.c_str(), 0600), 0); },
      [&](const std::string& path) { std::filesystem::create_symlink(elsewhere, path); }};
  for (const auto& plant : plants) {
    {
      Cache cache = open();
      ASSERT_TRUE(cache.set("large", random_bytes(100'000, 7)));
      const std::string path = location_.values() + "/" + value_files().at(0);
      std::filesystem::remove(path);
      plant(path);
      const auto got = cache.get("large");
      ASSERT_FALSE(got);
      EXPECT_EQ(got.error().code, ErrorCode::corrupt) << got.error().message;
      EXPECT_NE(got.error().message.find("not a regular file"), std::string::npos);
      EXPECT_EQ(cache.verify()->problems.at(0).kind, Problem::Kind::content);
    }
    const auto repaired = Cache::repair(location_, options_);
    ASSERT_TRUE(repaired) << repaired.error().message;
    EXPECT_EQ(repaired->dropped, 1);
    EXPECT_TRUE(value_files().empty());
    EXPECT_TRUE(std::filesystem::exists(elsewhere));
  }
}

TEST_F(RecoveryTest, APrivateNamespaceThatOthersMayEnterIsMadePrivate) {
  fill(1);
  const std::vector<std::string> folders = {location_.folder(), location_.values(),
                                            location_.locks()};
  const auto modes = [&](mode_t set) {
    for (const std::string& folder : folders) ASSERT_EQ(chmod(folder.c_str(), set), 0);
  };
  const auto expect_modes = [&](mode_t expected) {
    for (const std::string& folder : folders) {
      struct stat status{};
      ASSERT_EQ(stat(folder.c_str(), &status), 0);
      EXPECT_EQ(status.st_mode & 07777, expected) << folder;
    }
  };
  modes(0777);
  open({.access = Access::read});
  expect_modes(0777);
  open();
  expect_modes(0700);
  modes(0775);
  location_.for_group = true;
  open();
  expect_modes(0775);
}

TEST_F(RecoveryTest, GcLeavesFilesThatAreNotTheCaches) {
  fill(1);
  const std::vector<std::string> others = {"notes.txt", "new-notes", "0123456789ABCDEF", "0123"};
  for (const std::string& name : others) std::ofstream(location_.values() + "/" + name) << "mine";
  Cache cache = open();
  EXPECT_EQ(cache.gc()->orphans, 0);
  ASSERT_TRUE(cache.clear());
  for (const std::string& name : others) {
    EXPECT_TRUE(std::filesystem::exists(location_.values() + "/" + name)) << name;
  }
}

// Page after page of the database is made unreadable: what is on the others is saved.
TEST_F(RecoveryTest, RepairSavesWhatTheOtherPagesHold) {
  constexpr int kCount = 150;
  fill(kCount);
  std::ifstream file(location_.database(), std::ios::binary);
  const std::string intact{std::istreambuf_iterator<char>(file), {}};
  const std::uint64_t pages = intact.size() / 8192;
  ASSERT_GT(pages, 12);
  constexpr auto kSkip =
      std::filesystem::copy_options::recursive | std::filesystem::copy_options::skip_existing;
  std::filesystem::copy(location_.values(), folder_ / "values", kSkip);
  int saved_most = 0;
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
      // A leaf holds about fifteen of these; the roots hold all.
      if (page > 0 && found > 0) EXPECT_GE(found, kCount - 20) << page;
      saved_most += found >= kCount - 20 ? 1 : 0;
      ASSERT_TRUE(cache.set("new", "value"));
      EXPECT_EQ(get(cache, "new"), "value");
    }
    // Files that no saved entry names have gone, and the next round needs them.
    std::filesystem::copy(folder_ / "values", location_.values(), kSkip);
  }
  EXPECT_GE(saved_most, static_cast<int>(pages) - 3);
}

TEST_F(RecoveryTest, ForeignAndNewerDatabasesAreLeftAlone) {
  fill(1);
  run_sql("PRAGMA user_version = 99");
  for (const auto access : {Access::read, Access::write}) {
    options_.access = access;
    EXPECT_EQ(Cache::open(location_, options_).error().code, ErrorCode::unsupported);
  }
  EXPECT_EQ(Cache::repair(location_, options_).error().code, ErrorCode::unsupported);
  run_sql("PRAGMA user_version = 1; PRAGMA application_id = 7");
  EXPECT_EQ(Cache::open(location_, options_).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(Cache::repair(location_, options_).error().code, ErrorCode::invalid_argument);
  run_sql("PRAGMA application_id = 0x534c4341");
  options_.access = Access::read;
  Cache cache = open();
  EXPECT_EQ(get(cache, "key 0"), value(0));
}

TEST_F(RecoveryTest, AFileThatIsNoDatabaseIsReplacedByARepair) {
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

// Without root's rights, so that the modes count.
TEST_F(RecoveryTest, ReadsInAReadOnlyFolder) {
  fill(12);
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
  const auto check = [&](int expected) {
    return wait_for(run_child([&]() -> int {
      if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return 98;
      auto cache = Cache::open(location_, {.access = Access::read});
      if (!cache) return 97;
      int found = 0;
      for (int i = 0; i < 12; ++i) {
        auto entry = cache->get(key(i));
        if (!entry) return 96;
        if (*entry && *(*entry)->value.rest() == value(i)) ++found;
        const auto once = Cache::get_once(location_, key(i));
        if (!once || once->has_value() != entry->has_value()) return 95;
      }
      return found == expected ? 0 : found + 1;
    }));
  };
  const auto readable = [&] {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(location_.root)) {
      chmod(entry.path().c_str(), entry.is_directory() ? 0555 : 0444);
    }
    chmod(location_.root.c_str(), 0555);
  };
  // With the log beside it, and without.
  readable();
  EXPECT_EQ(check(12), 0);
  chmod(location_.folder().c_str(), 0755);
  std::filesystem::remove(location_.database() + "-wal");
  std::filesystem::remove(location_.database() + "-shm");
  readable();
  EXPECT_EQ(check(12), 0);
  chmod(location_.folder().c_str(), 0755);
  chmod(location_.values().c_str(), 0755);
}

TEST_F(RecoveryTest, OneReadSeesWhatWasWrittenBefore) {
  options_.now = nullptr;
  std::optional<Cache> cache = open();
  const auto once = [&](std::string_view key) {
    auto entry = Cache::get_once(location_, key);
    if (!entry) return "(" + entry.error().message + ")";
    return *entry ? *(*entry)->value.rest() : std::string("(none)");
  };
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(cache->set("a", std::to_string(i)));
    if (i % 7 == 0) cache.emplace(open());
    EXPECT_EQ(once("a"), std::to_string(i));
  }
  cache.reset();
  EXPECT_EQ(once("a"), "199");
  EXPECT_EQ(once("b"), "(none)");
}

TEST_F(RecoveryTest, DamagedStatisticsAreBegunAnewAndSaid) {
  fill(1);
  overwrite(location_.statistics(), 0, "garbage");
  Cache cache = open();
  ASSERT_EQ(cache.notices().size(), 1);
  EXPECT_NE(cache.notices()[0].find(location_.statistics()), std::string::npos);
  EXPECT_EQ(get(cache, "key 0"), value(0));
  EXPECT_EQ(cache.statistics()->view().counters[0], 1);
  EXPECT_TRUE(open().notices().empty());
}

}  // namespace
}  // namespace sluice::localcache
