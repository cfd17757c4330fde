#include "localcache/cache.h"

#include <rapidcheck.h>
#include <sys/stat.h>

#include <map>
#include <random>

#include "localcache/cache_test.h"
#include "localcache/statistics.h"
#include "sqlite/database.h"

namespace sluice::localcache {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class CacheTest : public CacheFixture {};

TEST_F(CacheTest, GivesBackWhatWasSet) {
  Cache cache = open();
  EXPECT_EQ(get(cache, "a"), "(none)");
  ASSERT_TRUE(cache.set("a", "one"));
  ASSERT_TRUE(cache.set("b\n\xff", std::string("\0two\n", 5)));
  ASSERT_TRUE(cache.set("empty", ""));
  EXPECT_EQ(get(cache, "a"), "one");
  EXPECT_EQ(get(cache, "b\n\xff"), std::string("\0two\n", 5));
  EXPECT_EQ(get(cache, "empty"), "");
  ASSERT_TRUE(cache.set("a", "other"));
  EXPECT_EQ(get(cache, "a"), "other");
  EXPECT_EQ(*cache.erase("a"), true);
  EXPECT_EQ(*cache.erase("a"), false);
  EXPECT_EQ(get(cache, "a"), "(none)");
  EXPECT_EQ(cache.size()->entries, 2);
  EXPECT_EQ(cache.size()->bytes, 3 + 5 + 5);
  expect_clean(cache);
}

TEST_F(CacheTest, SeesWhatOthersWrote) {
  Cache one = open();
  Cache two = open();
  ASSERT_TRUE(one.set("a", "1"));
  EXPECT_EQ(get(two, "a"), "1");
  ASSERT_TRUE(two.set("a", "2"));
  EXPECT_EQ(get(one, "a"), "2");
  EXPECT_EQ(one.size()->bytes, two.size()->bytes);
}

TEST_F(CacheTest, NamespacesAreApart) {
  Cache one = open();
  location_.name = "me@example.org";
  Cache two = open();
  ASSERT_TRUE(one.set("a", "1"));
  EXPECT_EQ(get(two, "a"), "(none)");
  EXPECT_EQ(*list_namespaces(location_.root),
            (std::vector<std::string>{"default", "me@example.org"}));
  EXPECT_TRUE(list_namespaces((folder_ / "none").string())->empty());
}

TEST_F(CacheTest, FoldersAndFilesArePrivateOrTheGroups) {
  const mode_t before = umask(0);
  Cache cache = open();
  umask(077);
  Location group{.root = (folder_ / "group").string(), .for_group = true};
  auto shared = Cache::open(group, options_);
  umask(before);
  ASSERT_TRUE(shared) << shared.error().message;
  ASSERT_TRUE(cache.set("a", random_bytes(100'000, 1)));
  ASSERT_TRUE(shared->set("a", random_bytes(100'000, 1)));
  const auto mode = [](const std::string& path) {
    struct stat status{};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777U;
  };
  for (const auto& [location, folders, files] :
       {std::tuple(location_, 0700U, 0600U), std::tuple(group, 02770U, 0660U)}) {
    EXPECT_EQ(mode(location.root), folders);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(location.root)) {
      EXPECT_EQ(mode(entry.path().string()), entry.is_directory() ? folders : files)
          << entry.path();
    }
  }
}

TEST_F(CacheTest, ReadingMakesNothing) {
  options_.access = Access::read;
  Cache cache = open();
  EXPECT_EQ(get(cache, "a"), "(none)");
  EXPECT_EQ(cache.size()->entries, 0);
  EXPECT_TRUE(keys(cache).empty());
  EXPECT_TRUE(cache.verify()->problems.empty());
  EXPECT_EQ(cache.set("a", "1").error().code, ErrorCode::invalid_argument);
  EXPECT_FALSE(std::filesystem::exists(location_.root));
}

TEST_F(CacheTest, DeletingMakesNothing) {
  options_.access = Access::change;
  Cache cache = open();
  EXPECT_FALSE(cache.exists());
  EXPECT_FALSE(*cache.erase("a"));
  EXPECT_EQ(*cache.erase_all({.prefix = "a"}), 0);
  EXPECT_EQ(cache.gc()->expired, 0);
  EXPECT_EQ(*cache.clear(), 0);
  EXPECT_EQ(cache.set("a", "1").error().code, ErrorCode::not_found);
  EXPECT_EQ(cache.set_limits({}).error().code, ErrorCode::not_found);
  EXPECT_FALSE(std::filesystem::exists(location_.root));
  options_.access = Access::write;
  ASSERT_TRUE(open().set("a", "1"));
  options_.access = Access::change;
  Cache there = open();
  EXPECT_TRUE(there.exists());
  EXPECT_TRUE(*there.erase("a"));
}

TEST_F(CacheTest, LargeValuesAreFiles) {
  Cache cache = open();
  const std::string large = random_bytes(kLargestInline + 1, 1);
  const std::string larger = random_bytes(3'000'000, 2);
  ASSERT_TRUE(cache.set("inline", random_bytes(kLargestInline, 3)));
  EXPECT_TRUE(value_files().empty());
  ASSERT_TRUE(cache.set("a", large));
  ASSERT_TRUE(cache.set("b", larger));
  EXPECT_EQ(value_files().size(), 2);
  EXPECT_EQ(get(cache, "a"), large);
  EXPECT_EQ(get(cache, "b"), larger);
  EXPECT_EQ(get(cache, "inline").size(), kLargestInline);
  EXPECT_EQ(cache.size()->bytes, kLargestInline + 6 + large.size() + 1 + larger.size() + 1);
  expect_clean(cache);
  // A value that is being read stays, whatever becomes of its entry.
  auto entry = cache.get("b");
  ASSERT_TRUE(entry && *entry);
  ASSERT_TRUE(cache.set("b", "small"));
  ASSERT_TRUE(cache.erase("a"));
  EXPECT_TRUE(value_files().empty());
  EXPECT_EQ(*(*entry)->value.rest(), larger);
  expect_clean(cache);
}

TEST_F(CacheTest, ValuesInPieces) {
  Cache cache = open();
  for (const std::size_t size : {0, 10, 100'000, 1'048'576, 5'000'000}) {
    for (const bool compressible : {false, true}) {
      const std::string value =
          compressible ? std::string(size, 'x') : random_bytes(size, size + 1);
      std::string_view left = value;
      ASSERT_TRUE(cache.set_from("key", [&]() -> Result<std::string_view> {
        const std::string_view piece = left.substr(0, 12'345);
        left.remove_prefix(piece.size());
        return piece;
      }));
      EXPECT_EQ(get(cache, "key"), value) << size;
      EXPECT_EQ(cache.size()->bytes, size + 3);
    }
  }
  expect_clean(cache);
  EXPECT_EQ(value_files().size(), 1);
}

TEST_F(CacheTest, AValueThatBreaksOffChangesNothing) {
  Cache cache = open();
  ASSERT_TRUE(cache.set("a", "before"));
  std::size_t given = 0;
  const std::string piece = random_bytes(1'000'000, 1);
  const auto set = cache.set_from("a", [&]() -> Result<std::string_view> {
    if (++given > 5) return fail(ErrorCode::io, "the pipe broke");
    return std::string_view(piece);
  });
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().message, "the pipe broke");
  EXPECT_EQ(get(cache, "a"), "before");
  EXPECT_TRUE(value_files().empty());
}

TEST_F(CacheTest, CompressesWhatPays) {
  Cache cache = open();
  const std::string text(50'000, 'x');
  ASSERT_TRUE(cache.set("a", text));
  ASSERT_TRUE(cache.set("b", std::string(1'000'000, 'y')));
  EXPECT_TRUE(value_files().empty()) << "compressed, it is small enough for the database";
  EXPECT_EQ(get(cache, "a"), text);
  EXPECT_EQ(get(cache, "b"), std::string(1'000'000, 'y'));
  EXPECT_EQ(cache.size()->bytes, 1'050'002) << "the size is that of what was given";
  ASSERT_TRUE(cache.set("c", std::string(20'000'000, 'z')));
  EXPECT_LT(cache.size()->disk_bytes, 2'000'000);
  EXPECT_EQ(get(cache, "c"), std::string(20'000'000, 'z'));
  expect_clean(cache);
}

TEST_F(CacheTest, EntriesExpire) {
  Cache cache = open();
  ASSERT_TRUE(cache.set("a", "1", {.ttl = minutes(5)}));
  ASSERT_TRUE(cache.set("b", "2"));
  now_ += minutes(5) - milliseconds(1);
  EXPECT_EQ(get(cache, "a"), "1");
  now_ += milliseconds(1);
  EXPECT_EQ(get(cache, "a"), "(none)");
  EXPECT_EQ(get(cache, "b"), "2");
  const auto stale = cache.get("a", {.stale_ok = true});
  ASSERT_TRUE(stale && *stale);
  EXPECT_TRUE((*stale)->info.stale);
  EXPECT_EQ(cache.size()->entries, 2) << "it is still there";
  EXPECT_EQ(cache.gc()->expired, 1);
  EXPECT_EQ(get(cache, "a", {.stale_ok = true}), "(none)");
  EXPECT_EQ(cache.size()->entries, 1);
  ASSERT_TRUE(cache.set("for ever", "3", {.ttl = milliseconds::max()}));
  EXPECT_EQ(get(cache, "for ever"), "3");
}

TEST_F(CacheTest, AgesAreBounded) {
  Cache cache = open();
  ASSERT_TRUE(cache.set("a", "1"));
  now_ += seconds(10);
  EXPECT_EQ(get(cache, "a", {.max_age = seconds(10)}), "1");
  EXPECT_EQ(get(cache, "a", {.max_age = seconds(9)}), "(none)");
}

TEST_F(CacheTest, TagsDeleteTogether) {
  Cache cache = open();
  ASSERT_TRUE(cache.set("a", "1", {.tags = {"red", "blue", "red"}}));
  ASSERT_TRUE(cache.set("b", "2", {.tags = {"red"}}));
  ASSERT_TRUE(cache.set("c", "3", {.tags = {"blue"}}));
  EXPECT_EQ(keys(cache, {.tag = "red"}), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ((*cache.get("a"))->info.tags, (std::vector<std::string>{"blue", "red"}));
  // What replaces an entry does not inherit its tags.
  ASSERT_TRUE(cache.set("b", "2"));
  EXPECT_EQ(*cache.erase_all({.tag = "red"}), 1);
  EXPECT_EQ(keys(cache), (std::vector<std::string>{"b", "c"}));
  expect_clean(cache);
}

TEST_F(CacheTest, SelectsByPrefixAndPredicate) {
  Cache cache = open();
  for (const char* key : {"a", "ab", "ab\xff", "ab\xff\xff", "ac", "b"}) {
    ASSERT_TRUE(cache.set(key, "v"));
  }
  EXPECT_EQ(keys(cache, {.prefix = "ab"}),
            (std::vector<std::string>{"ab", "ab\xff", "ab\xff\xff"}));
  EXPECT_EQ(keys(cache, {.prefix = "ab\xff"}), (std::vector<std::string>{"ab\xff", "ab\xff\xff"}));
  EXPECT_EQ(*cache.erase_all(
                {.prefix = "a", .matches = [](std::string_view key) { return key.size() == 2; }}),
            2);
  EXPECT_EQ(keys(cache), (std::vector<std::string>{"a", "ab\xff", "ab\xff\xff", "b"}));
}

TEST_F(CacheTest, DeletesThousandsInSteps) {
  Cache cache = open();
  std::vector<std::string> names;
  for (int i = 0; i < 2345; ++i) names.push_back("key " + std::to_string(i));
  std::vector<Operation> sets;
  for (const std::string& name : names) {
    sets.push_back({.kind = Operation::Kind::set, .key = name, .value = "v"});
  }
  ASSERT_TRUE(cache.batch(sets));
  EXPECT_EQ(*cache.erase_all({.matches = [](std::string_view key) { return key.back() != '7'; }}),
            2345 - 234);
  EXPECT_EQ(cache.size()->entries, 234);
  expect_clean(cache);
}

TEST_F(CacheTest, ABatchIsDoneInOrder) {
  Cache cache = open();
  ASSERT_TRUE(cache.set("old", "0"));
  const std::string large = random_bytes(200'000, 7);
  const std::string bad(5000, 'k');
  using Kind = Operation::Kind;
  const std::vector<Operation> operations = {
      {.kind = Kind::get, .key = "a"},
      {.kind = Kind::set, .key = "a", .value = "1", .options = {.tags = {"t"}}},
      {.kind = Kind::get, .key = "a"},
      {.kind = Kind::set, .key = bad, .value = "1"},
      {.kind = Kind::erase, .key = "old"},
      {.kind = Kind::erase, .key = "old"},
      {.kind = Kind::set, .key = "large", .value = large},
      {.kind = Kind::get, .key = "large"},
  };
  auto answers = cache.batch(operations);
  ASSERT_TRUE(answers) << answers.error().message;
  ASSERT_EQ(answers->size(), operations.size());
  EXPECT_FALSE((*answers)[0].found);
  EXPECT_TRUE((*answers)[2].found);
  EXPECT_EQ(*(*answers)[2].entry->value.rest(), "1");
  EXPECT_FALSE((*answers)[3].done);
  EXPECT_TRUE((*answers)[4].found);
  EXPECT_FALSE((*answers)[5].found);
  EXPECT_EQ(*(*answers)[7].entry->value.rest(), large);
  EXPECT_EQ(cache.size()->entries, 2);
  expect_clean(cache);
}

TEST_F(CacheTest, ClearsAllButTheLimits) {
  Cache cache = open();
  ASSERT_TRUE(cache.set_limits({.max_bytes = 12'345'678}));
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(cache.set(std::to_string(i), random_bytes(20'000, 1), {.tags = {"t"}}));
  }
  ASSERT_TRUE(cache.set("large", random_bytes(200'000, 1)));
  EXPECT_EQ(*cache.clear(), 501);
  const auto size = cache.size();
  EXPECT_EQ(size->entries, 0);
  EXPECT_EQ(size->bytes, 0);
  EXPECT_LT(size->disk_bytes, 200'000);
  EXPECT_EQ(size->limits.max_bytes, 12'345'678);
  EXPECT_TRUE(value_files().empty());
  expect_clean(cache);
}

// Against a model: size and count are exact whatever is done, and what is there is right.
TEST_F(CacheTest, SizesAreThoseOfAModel) {
  int turn = 0;
  rc::check([&] {
    location_.name = "model" + std::to_string(++turn);
    Cache cache = open();
    std::map<std::string, std::string> model;
    const auto steps = *rc::gen::container<std::vector<std::tuple<int, int, int>>>(
        rc::gen::tuple(rc::gen::inRange(0, 12), rc::gen::inRange(0, 12), rc::gen::inRange(0, 10)));
    for (const auto& [what, number, amount] : steps) {
      const std::string key = "k" + std::string(static_cast<std::size_t>(number), 'x');
      const std::string value =
          amount == 9 ? random_bytes(70'000, static_cast<std::uint64_t>(number))
                      : std::string(static_cast<std::size_t>(amount * amount * 20), 'v');
      if (what <= 5) {
        RC_ASSERT(cache.set(key, value, {.tags = {amount % 2 == 0 ? "even" : "odd"}}));
        model[key] = value;
      } else if (what <= 7) {
        RC_ASSERT(*cache.erase(key) == (model.erase(key) > 0));
      } else if (what == 8) {
        const auto count =
            std::erase_if(model, [&](const auto& entry) { return entry.first.starts_with(key); });
        RC_ASSERT(*cache.erase_all({.prefix = key}) == count);
      } else if (what == 9) {
        const std::vector<Operation> batch = {
            {.kind = Operation::Kind::set, .key = key, .value = value},
            {.kind = Operation::Kind::erase, .key = "k"},
            {.kind = Operation::Kind::get, .key = key}};
        const auto answers = cache.batch(batch);
        RC_ASSERT(answers.has_value());
        model[key] = value;
        RC_ASSERT((*answers)[1].found == (model.erase("k") > 0));
        RC_ASSERT((*answers)[2].found == model.contains(key));
      } else if (what == 10) {
        RC_ASSERT(cache.gc().has_value());
      } else {
        cache = open();
      }
      std::uint64_t bytes = 0;
      for (const auto& [name, content] : model) bytes += name.size() + content.size();
      const auto size = cache.size();
      RC_ASSERT(size->entries == model.size());
      RC_ASSERT(size->bytes == bytes);
      RC_ASSERT(cache.count()->bytes == bytes);
    }
    for (const auto& [name, content] : model) RC_ASSERT(get(cache, name) == content);
    RC_ASSERT(keys(cache).size() == model.size());
    RC_ASSERT(cache.verify()->problem_count == 0U);
  });
}

}  // namespace
}  // namespace sluice::localcache
