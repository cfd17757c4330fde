// Damage: what was written wrong, cut off, or lost is found, said, and never given out.
#include <fcntl.h>
#include <sys/stat.h>

#include "localcache/damage_test.h"
#include "localcache/files.h"
#include "localcache/statistics.h"

namespace sluice::localcache {
namespace {

class RecoveryTest : public DamageFixture {};

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

// What a killed writer has begun has no name, and is gone with it.
TEST_F(RecoveryTest, AKilledWriterLeavesNoFile) {
  fill(1);
  if (!make_unnamed_file(open_folder(location_.values())->get(), 0600)) {
    GTEST_SKIP() << "this file system has no files without a name";
  }
  const auto before = value_files();
  int begun[2];
  ASSERT_EQ(pipe(begun), 0);
  const pid_t writer = run_child([&] {
    Cache cache = open();
    int pieces = 0;
    const auto set = cache.set_from("large", [&]() -> Result<std::string_view> {
      static const std::string piece = random_bytes(300'000, 7);
      if (++pieces < 4) return piece;
      static_cast<void>(!::write(begun[1], "x", 1));
      ::pause();
      return piece;
    });
    return set ? 1 : 2;
  });
  char byte = 0;
  ASSERT_EQ(read(begun[0], &byte, 1), 1);
  kill(writer, SIGKILL);
  EXPECT_EQ(wait_for(writer), 128 + SIGKILL);
  EXPECT_EQ(value_files(), before);
  close(begun[0]);
  close(begun[1]);
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

TEST_F(RecoveryTest, APipeInThePlaceOfAFileIsNotWaitedFor) {
  fill(1);
  for (const std::string& path : {location_.users(), location_.reserve()}) {
    std::filesystem::remove(path);
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    for (const auto access : {Access::read, Access::change, Access::write}) {
      OpenOptions options = options_;
      options.access = access;
      auto cache = Cache::open(location_, options);
      if (cache) EXPECT_EQ(get(*cache, key(0)), value(0));
      if (cache && access != Access::read) EXPECT_TRUE(cache->gc());
    }
    std::filesystem::remove(path);
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
