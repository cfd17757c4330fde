// What people and other programs do wrong: one sentence each, and never wrong data.
#include <sys/stat.h>

#include <algorithm>

#include "localcache/damage_test.h"
#include "localcache/statistics.h"

namespace sluice::localcache {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class BadInputTest : public DamageFixture {
 protected:
  // Runs `body` without root's rights, so that the modes of files count. Returns its code.
  int without_rights(const std::function<int()>& body) {
    EXPECT_EQ(chmod(folder_.c_str(), 0755), 0);
    return wait_for(run_child([&]() -> int {
      if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return 98;
      return body();
    }));
  }
  void make_readable() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(location_.root)) {
      chmod(entry.path().c_str(), entry.is_directory() ? 0555 : 0444);
    }
    chmod(location_.root.c_str(), 0555);
  }
  void make_writable() const {
    chmod(location_.folder().c_str(), 0755);
    chmod(location_.values().c_str(), 0755);
  }
};

TEST_F(BadInputTest, KeysAreAnyBytesButNul) {
  Cache cache = open();
  std::vector<std::string> expected;
  for (int byte = 1; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    // At both ends, in the middle, and as long as a key can be.
    for (const std::string& key : {one, "a" + one + "b", one + std::string(kLongestKey - 1, 'k'),
                                   std::string(kLongestKey, static_cast<char>(byte))}) {
      ASSERT_TRUE(cache.set(key, std::to_string(expected.size()))) << byte;
      expected.push_back(key);
    }
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    // Of "k" there are two that are the same.
    const auto last = std::ranges::find(expected.rbegin(), expected.rend(), expected[i]);
    EXPECT_EQ(get(cache, expected[i]), std::to_string(expected.rend() - last - 1)) << i;
  }
  std::ranges::sort(expected, [](const std::string& one, const std::string& two) {
    return std::ranges::lexicographical_compare(one, two, [](char a, char b) {
      return static_cast<unsigned char>(a) < static_cast<unsigned char>(b);
    });
  });
  const auto rest = std::ranges::unique(expected);
  expected.erase(rest.begin(), rest.end());
  EXPECT_EQ(keys(cache), expected) << "in the order of their bytes";
  expect_clean(cache);
}

TEST_F(BadInputTest, KeysAndOptionsAreChecked) {
  Cache cache = open();
  EXPECT_TRUE(cache.set(std::string(kLongestKey, 'k'), "v"));
  for (const std::string& key : {std::string(), std::string("a\0b", 3), std::string(4097, 'k')}) {
    EXPECT_EQ(cache.set(key, "v").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(cache.get(key).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(cache.erase(key).error().code, ErrorCode::invalid_argument);
  }
  EXPECT_FALSE(cache.set("a", "v", {.ttl = milliseconds(0)}));
  EXPECT_FALSE(cache.set("a", "v", {.tags = {""}}));
  EXPECT_FALSE(cache.set("a", "v", {.tags = {std::string(257, 't')}}));
  EXPECT_EQ(cache.size()->entries, 1);
}

TEST_F(BadInputTest, NamesThatLeaveTheFolderAreRefused) {
  for (const char* name : {"", ".", "..", "../x", "a/b", ".hidden", "a\nb"}) {
    location_.name = name;
    const auto cache = Cache::open(location_, options_);
    ASSERT_FALSE(cache) << name;
    EXPECT_EQ(cache.error().code, ErrorCode::invalid_argument);
  }
  location_.name = std::string(201, 'n');
  EXPECT_FALSE(Cache::open(location_, options_));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "x"));
}

TEST_F(BadInputTest, AClockThatJumpsBackMakesNothingLastLonger) {
  Cache cache = open();
  ASSERT_TRUE(cache.set("a", "1", {.ttl = minutes(5)}));
  ASSERT_TRUE(cache.set("b", "2"));
  now_ -= seconds(1);
  EXPECT_EQ(get(cache, "a"), "1") << "clocks are corrected by less all the time";
  now_ -= std::chrono::hours(1);
  EXPECT_EQ(get(cache, "a"), "(none)") << "nobody knows how old it is";
  EXPECT_EQ(get(cache, "b"), "2") << "it lasts for ever";
  EXPECT_EQ(get(cache, "b", {.max_age = std::chrono::hours(2)}), "(none)");
  ASSERT_TRUE(cache.set("a", "new", {.ttl = minutes(5)}));
  EXPECT_EQ(get(cache, "a"), "new");
}

TEST_F(BadInputTest, ForeignAndNewerDatabasesAreLeftAlone) {
  fill(1);
  run_sql("PRAGMA user_version = 99");
  for (const auto access : {Access::read, Access::write}) {
    options_.access = access;
    EXPECT_EQ(Cache::open(location_, options_).error().code, ErrorCode::unsupported);
  }
  EXPECT_EQ(Cache::repair(location_, options_).error().code, ErrorCode::unsupported);
  run_sql("PRAGMA user_version = 1; PRAGMA application_id = 7");
  const Error foreign = Cache::open(location_, options_).error();
  EXPECT_EQ(foreign.code, ErrorCode::invalid_argument);
  EXPECT_NE(foreign.message.find("name another namespace."), std::string::npos) << foreign.message;
  EXPECT_EQ(Cache::repair(location_, options_).error().code, ErrorCode::invalid_argument);
  run_sql("PRAGMA application_id = 0x534c4341");
  options_.access = Access::read;
  Cache cache = open();
  EXPECT_EQ(get(cache, "key 0"), value(0));
}

// As another process sees it that comes while the namespace is made, or after its maker was killed.
TEST_F(BadInputTest, ADatabaseThatIsNotWrittenYetHoldsNothing) {
  fill(1);
  std::filesystem::remove(location_.database());
  for (const bool has_header : {false, true}) {
    std::filesystem::remove(location_.database());
    std::ofstream(location_.database()).close();
    if (has_header) run_sql("PRAGMA page_size=8192; PRAGMA journal_mode=WAL");
    options_.access = Access::read;
    Cache cache = open();
    EXPECT_EQ(get(cache, "key 0"), "(none)");
    EXPECT_EQ(cache.size()->entries, 0u);
    const auto once = Cache::get_once(location_, "key 0", {}, options_);
    ASSERT_TRUE(once) << once.error().message;
    EXPECT_FALSE(*once);
  }
}

TEST_F(BadInputTest, ALinkOrAPipeInThePlaceOfTheDatabaseIsLeftAlone) {
  fill(1);
  const std::string theirs = (folder_ / "theirs").string();
  std::ofstream(theirs).close();
  for (const bool pipe : {false, true}) {
    std::filesystem::remove(location_.database());
    if (pipe) {
      ASSERT_EQ(::mkfifo(location_.database().c_str(), 0600), 0);
    } else {
      std::filesystem::create_symlink(theirs, location_.database());
    }
    for (const auto access : {Access::read, Access::write}) {
      options_.access = access;
      EXPECT_EQ(Cache::open(location_, options_).error().code, ErrorCode::io);
      EXPECT_EQ(Cache::get_once(location_, "key 0", {}, options_).error().code, ErrorCode::io);
    }
    EXPECT_EQ(Cache::repair(location_, options_).error().code, ErrorCode::io);
  }
  EXPECT_EQ(std::filesystem::file_size(theirs), 0u);
}

TEST_F(BadInputTest, TagsMayBeAnyBytes) {
  Cache cache = open();
  ASSERT_TRUE(cache.set("k", "v",
                        {.tags = {"a",
                                  "\x80"
                                  "b",
                                  "b", "ab"}}));
  EXPECT_EQ(cache.verify()->problem_count, 0u);
  EXPECT_EQ(keys(cache, {.tag = "\x80"
                                "b"})
                .size(),
            1u);
}

TEST_F(BadInputTest, ReadsInAReadOnlyFolder) {
  fill(12);
  const auto check = [&](int expected) {
    return without_rights([&]() -> int {
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
    });
  };
  // With the log beside it, and without.
  make_readable();
  EXPECT_EQ(check(12), 0);
  chmod(location_.folder().c_str(), 0755);
  std::filesystem::remove(location_.database() + "-wal");
  std::filesystem::remove(location_.database() + "-shm");
  make_readable();
  EXPECT_EQ(check(12), 0);
  make_writable();
}

TEST_F(BadInputTest, WritingIntoAReadOnlyFolderIsRefusedInASentence) {
  fill(12);
  make_readable();
  const int code = without_rights([&]() -> int {
    for (const auto access : {Access::write, Access::change}) {
      OpenOptions options = options_;
      options.access = access;
      auto cache = Cache::open(location_, options);
      const auto set = cache ? cache->set("a", "1") : std::unexpected(cache.error());
      if (set) return 1;
      if (set.error().code != ErrorCode::io) return 2;
      if (set.error().message.find(location_.root) == std::string::npos) return 3;
      if (!set.error().message.ends_with('.')) return 4;
    }
    return 0;
  });
  make_writable();
  EXPECT_EQ(code, 0);
}

// In a folder that others may write, as /tmp is, anybody can make what looks like somebody's cache.
TEST_F(BadInputTest, WhatOthersPutThereIsNotGivenOut) {
  fill(1);
  const auto expect_refused = [&](std::string_view says) {
    const auto once = Cache::get_once(location_, key(0), {}, options_);
    ASSERT_FALSE(once);
    EXPECT_NE(once.error().message.find(says), std::string::npos) << once.error().message;
    OpenOptions options = options_;
    options.access = Access::read;
    EXPECT_FALSE(Cache::open(location_, options));
  };
  const std::string elsewhere = (folder_ / "elsewhere").string();
  std::filesystem::rename(location_.folder(), elsewhere);
  std::filesystem::create_directory_symlink(elsewhere, location_.folder());
  expect_refused("is a symbolic link");
  std::filesystem::remove(location_.folder());
  std::filesystem::rename(elsewhere, location_.folder());
  ASSERT_TRUE(Cache::get_once(location_, key(0), {}, options_)->has_value());
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make what belongs to others";
  ASSERT_EQ(chown(location_.folder().c_str(), 65534, 65534), 0);
  expect_refused("belongs to another user");
  location_.for_group = true;
  EXPECT_TRUE(Cache::get_once(location_, key(0), {}, options_)->has_value()) << "a group shares it";
}

TEST_F(BadInputTest, AGroupsFolderIsOfItsGroupWhateverTheUmaskIs) {
  location_.for_group = true;
  location_.root = (folder_ / "above/deep").string();
  struct stat status{};
  if (::geteuid() == 0) {
    // One that does not pass its group on by itself.
    ASSERT_EQ(chown(folder_.c_str(), 0, 4242), 0);
    ASSERT_EQ(chmod(folder_.c_str(), 0770), 0);
  }
  ASSERT_EQ(::stat(folder_.c_str(), &status), 0);
  const gid_t group = status.st_gid;
  const mode_t before = ::umask(077);
  const Cache cache = open();
  ::umask(before);
  for (const std::string& path : {(folder_ / "above").string(), location_.root, location_.folder(),
                                  location_.values(), location_.locks()}) {
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 02770U) << path;
    EXPECT_EQ(status.st_gid, group) << path;
  }
  ASSERT_EQ(::stat(location_.database().c_str(), &status), 0);
  EXPECT_EQ(status.st_gid, group);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(location_.root), {}), 1)
      << "nothing is left of the making";
}

TEST_F(BadInputTest, APipeBesideAGroupsDatabaseIsNotWaitedFor) {
  location_.for_group = true;
  fill(1);
  for (const std::string& path :
       {location_.database() + "-journal", location_.database() + "-wal", location_.statistics()}) {
    std::filesystem::remove(path);
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    OpenOptions options = options_;
    options.access = Access::read;
    const auto opened = Cache::open(location_, options);
    EXPECT_EQ(opened.has_value(), path == location_.statistics()) << path;
    static_cast<void>(Statistics::read(location_.statistics()));
    std::filesystem::remove(path);
  }
}

TEST_F(BadInputTest, AValueFileThatVanishedIsSaidAndIsNoHit) {
  fill(11);
  std::filesystem::remove_all(location_.values());
  {
    Cache cache = open({.access = Access::read});
    const auto lost = cache.get(key(0));
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code, ErrorCode::corrupt);
    EXPECT_NE(lost.error().message.find("sluice cache repair"), std::string::npos);
    EXPECT_EQ(get(cache, key(1)), value(1));
  }
  EXPECT_EQ(Cache::repair(location_, options_)->dropped, 2);
  Cache cache = open();
  EXPECT_EQ(get(cache, key(0)), "(none)");
  EXPECT_EQ(expect_right(cache, 11), 9);
  expect_clean(cache);
}

}  // namespace
}  // namespace sluice::localcache
