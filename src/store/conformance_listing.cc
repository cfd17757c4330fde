// Conformance: what a listing gives.
#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <set>

#include "base/utf8.h"
#include "store/conformance.h"

namespace sluice::store::conformance {

TEST_P(Conformance, AnEmptyNamespaceListsNothing) {
  auto store = fresh();
  EXPECT_TRUE(list(*store).empty());
  EXPECT_TRUE(list(*store, "prefix").empty());
  EXPECT_EQ(get(*store, "absent"), std::nullopt);
}

TEST_P(Conformance, PagesGiveEveryKeyOnce) {
  auto store = fresh();
  auto entries = numbered(257);
  std::ranges::shuffle(entries, std::mt19937(7));
  put(*store, entries);
  const auto keys = keys_of(sorted(entries));
  for (const std::size_t limit : {10, 11, 100, 256, 257, 258, 1000, 0}) {
    auto listed = keys_of(list(*store, {}, limit));
    if (store->capabilities().ordered) {
      EXPECT_EQ(listed, keys) << "limit " << limit;
    } else {
      std::ranges::sort(listed);
      EXPECT_EQ(listed, keys) << "limit " << limit;
    }
  }
}

TEST_P(Conformance, ThousandsOfKeys) {
  auto store = fresh();
  auto entries = numbered(GetParam().many);
  std::ranges::shuffle(entries, std::mt19937(11));
  put(*store, entries);
  auto listed = list(*store);
  if (store->capabilities().ordered) EXPECT_TRUE(std::ranges::is_sorted(listed));
  for (Entry& entry : entries) entry.value.clear();
  EXPECT_EQ(sorted(listed), sorted(entries));
}

// Many puts whose keys lie between those of the others.
TEST_P(Conformance, InterleavedPutsAreListedInOrder) {
  auto store = fresh();
  std::vector<Entry> all;
  for (std::size_t put_number = 0; put_number < 40; ++put_number) {
    std::vector<Entry> entries;
    for (std::size_t i = 0; i < 25; ++i) {
      entries.push_back({fmt::format("k{:04}", i * 40 + put_number), "v", {}, 0});
    }
    put(*store, entries);
    all.insert(all.end(), entries.begin(), entries.end());
  }
  for (const std::size_t limit : {10, 33, 0}) {
    auto listed = keys_of(list(*store, {}, limit));
    if (!store->capabilities().ordered) std::ranges::sort(listed);
    EXPECT_EQ(listed, keys_of(sorted(all))) << "limit " << limit;
  }
  EXPECT_EQ(list(*store, "k00").size(), 100u);
}

TEST_P(Conformance, APrefixSelectsByBytes) {
  auto store = fresh();
  std::vector<Entry> entries;
  for (const std::string key : {"a", "aa", "ab", "a/", "a/b", "a%", "a_", "A", "b", "ä", "äb", "鍵",
                                "鍵x", "🔑1", "🔑2", "z\x7f", "z"}) {
    entries.push_back({key, "v", {}, 0});
  }
  if (!store->capabilities().keys_are_utf8) {
    for (const std::string key :
         {"\xff", "\xff\xff", "\xff\xffx", "\xfe\xff", "y\xff", "y\xff\x01"}) {
      entries.push_back({key, "v", {}, 0});
    }
  }
  put(*store, entries);
  for (const std::string prefix : {"", "a", "a/", "a%", "a_", "A", "ä", "鍵", "🔑", "z", "z\x7f",
                                   "absent", "\xff", "\xff\xff", "y\xff", "\xfe"}) {
    if (store->capabilities().keys_are_utf8 && !is_utf8(prefix)) continue;
    std::vector<std::string> expected;
    for (const Entry& entry : sorted(entries)) {
      if (entry.key.starts_with(prefix)) expected.push_back(entry.key);
    }
    auto listed = keys_of(list(*store, prefix, 10));
    std::ranges::sort(listed);
    EXPECT_EQ(listed, expected) << "prefix " << printable(prefix);
  }
}

TEST_P(Conformance, ACursorCanBeUsedAgain) {
  auto store = fresh();
  put(*store, numbered(60));
  auto first = run(store->list({.limit = 20}));
  ASSERT_TRUE(first);
  ASSERT_FALSE(first->cursor.empty());
  const std::string cursor = first->cursor;
  std::vector<std::vector<std::string>> answers;
  for (int time = 0; time < 3; ++time) {
    auto second = run(store->list({.cursor = cursor, .limit = 20}));
    ASSERT_TRUE(second);
    std::vector<std::string> keys;
    for (const EntryView& entry : second->entries) keys.emplace_back(entry.key);
    answers.push_back(keys);
    list(*store, "key:00001");  // another listing in between must not disturb it
  }
  EXPECT_FALSE(answers[0].empty());
  EXPECT_EQ(answers[0], answers[1]);
  EXPECT_EQ(answers[0], answers[2]);
}

TEST_P(Conformance, TwoListingsAtOnceDoNotMix) {
  auto store = fresh();
  put(*store, numbered(50, "a:"));
  put(*store, numbered(50, "b:"));
  std::string cursors[2];
  std::vector<std::string> keys[2];
  const std::string_view prefixes[2] = {"a:", "b:"};
  for (bool more = true; more;) {
    more = false;
    for (int i = 0; i < 2; ++i) {
      if (!keys[i].empty() && cursors[i].empty()) continue;
      auto page = run(store->list({.prefix = prefixes[i], .cursor = cursors[i], .limit = 10}));
      ASSERT_TRUE(page) << page.error().message;
      for (const EntryView& entry : page->entries) keys[i].emplace_back(entry.key);
      cursors[i] = page->cursor;
      more = more || !cursors[i].empty();
    }
  }
  for (int i = 0; i < 2; ++i) {
    std::ranges::sort(keys[i]);
    EXPECT_EQ(keys[i], keys_of(numbered(50, prefixes[i])));
  }
}

TEST_P(Conformance, AListingGoesOnBehindAKey) {
  auto store = fresh();
  if (!store->capabilities().seekable) GTEST_SKIP() << "not seekable";
  put(*store, numbered(30));
  const auto after = [&](std::string_view key, std::string_view prefix) {
    std::vector<std::string> keys;
    auto page = run(store->list({.prefix = prefix, .after = key}));
    EXPECT_TRUE(page);
    if (page) {
      for (const EntryView& entry : page->entries) keys.emplace_back(entry.key);
    }
    return keys;
  };
  EXPECT_EQ(after("key:000027", {}), (std::vector<std::string>{"key:000028", "key:000029"}));
  EXPECT_EQ(after("key:0000275", {}), (std::vector<std::string>{"key:000028", "key:000029"}));
  EXPECT_EQ(after("key:000029", {}).size(), 0u);
  EXPECT_EQ(after("a", {}).size(), 30u);
  EXPECT_EQ(after("a", "key:00002").size(), 10u) << "before the prefix";
  EXPECT_EQ(after("key:000025", "key:00002").size(), 4u);
  EXPECT_EQ(after("z", "key:00002").size(), 0u) << "behind the prefix";
}

TEST_P(Conformance, AListingEndsAtAKey) {
  auto store = fresh();
  if (!store->capabilities().seekable) GTEST_SKIP() << "not seekable";
  put(*store, numbered(30));
  const auto between = [&](std::string_view after, std::string_view until,
                           std::string_view prefix) {
    std::vector<std::string> keys;
    std::string cursor;
    do {
      auto page = run(store->list({.prefix = prefix,
                                   .cursor = cursor,
                                   .after = cursor.empty() ? after : std::string_view{},
                                   .until = until,
                                   .limit = 10}));
      EXPECT_TRUE(page);
      if (!page) break;
      for (const EntryView& entry : page->entries) keys.emplace_back(entry.key);
      cursor = page->cursor;
    } while (!cursor.empty());
    return keys;
  };
  EXPECT_EQ(between({}, "key:000001", {}), (std::vector<std::string>{"key:000000", "key:000001"}));
  EXPECT_EQ(between("key:000003", "key:0000045", {}), std::vector<std::string>{"key:000004"});
  EXPECT_EQ(between("key:000003", "key:000003", {}), std::vector<std::string>{});
  EXPECT_EQ(between("key:000003", "key:000025", {}).size(), 22u) << "several pages";
  EXPECT_EQ(between({}, "z", {}).size(), 30u);
  EXPECT_EQ(between({}, "a", {}).size(), 0u);
  EXPECT_EQ(between({}, "key:000025", "key:00002").size(), 6u);
  EXPECT_EQ(between({}, "key:000015", "key:00002").size(), 0u) << "before the prefix";
  EXPECT_EQ(between({}, "z", "key:00002").size(), 10u) << "behind the prefix";
}

// Whatever the split points are, the parts are the whole, each key once; and where there is enough
// to part, they are of use.
TEST_P(Conformance, PartsOfAListingAreTheWhole) {
  auto store = fresh();
  if (!store->capabilities().seekable) GTEST_SKIP() << "not seekable";
  std::vector<Entry> entries = numbered(3000);
  for (const Entry& other : numbered(1000, "kez")) entries.push_back(other);
  std::ranges::shuffle(entries, std::mt19937(5));
  put(*store, entries);
  for (const std::string_view prefix : {"", "key:", "key:0001", "kez", "absent"}) {
    const auto expected = keys_of(list(*store, prefix));
    for (const std::size_t parts : {1, 2, 3, 8, 1000}) {
      auto points = run(store->split(prefix, parts));
      ASSERT_TRUE(points) << points.error().message;
      EXPECT_LE(points->size(), parts - 1);
      EXPECT_TRUE(std::ranges::is_sorted(*points));
      EXPECT_EQ(std::ranges::adjacent_find(*points), points->end());
      std::vector<std::string> listed;
      std::size_t largest = 0;
      for (std::size_t part = 0; part <= points->size(); ++part) {
        const std::string after = part == 0 ? "" : (*points)[part - 1];
        const std::string until = part == points->size() ? "" : (*points)[part];
        const std::size_t before = listed.size();
        std::string cursor;
        do {
          auto page = run(store->list({.prefix = prefix,
                                       .cursor = cursor,
                                       .after = cursor.empty() ? after : std::string(),
                                       .until = until}));
          ASSERT_TRUE(page) << page.error().message;
          for (const EntryView& entry : page->entries) listed.emplace_back(entry.key);
          cursor = page->cursor;
        } while (!cursor.empty());
        largest = std::max(largest, listed.size() - before);
      }
      EXPECT_EQ(listed, expected) << "prefix " << prefix << ", " << parts << " parts";
      if (prefix.empty() && parts == 8) EXPECT_LT(largest, 4000u / 3) << "of no use";
    }
  }
}

TEST_P(Conformance, AListingHasValuesIfAskedFor) {
  auto store = fresh();
  if (!store->capabilities().lists_values) GTEST_SKIP() << "lists no values";
  std::vector<Entry> entries = numbered(40);
  entries[3].value = "";
  entries[4].value = std::string("\0\xff\xfe", 3);
  entries[5].value = std::string(300'000, 'x');
  entries[6].value = std::string(3'000'000, 'y');
  entries[7].value = std::string(1024, 'z');
  entries[8].value = std::string(1025, 'z');
  put(*store, {entries.begin() + 20, entries.end()});
  put(*store, {entries.begin(), entries.begin() + 20});
  std::vector<Entry> listed;
  std::string cursor;
  do {
    auto page = run(store->list({.cursor = cursor, .limit = 15, .values = true}));
    ASSERT_TRUE(page) << page.error().message;
    for (const EntryView& entry : page->entries) {
      EXPECT_EQ(entry.presence, Presence::present);
      listed.push_back({std::string(entry.key), std::string(entry.value),
                        std::string(entry.metadata), entry.expiration});
    }
    cursor = page->cursor;
  } while (!cursor.empty());
  EXPECT_EQ(sorted(listed), entries);
}

TEST_P(Conformance, AForeignCursorIsAnErrorNotAnEnd) {
  auto store = fresh();
  put(*store, numbered(3));
  auto page = run(store->list({.cursor = "\x01 not a cursor"}));
  ASSERT_FALSE(page);
  EXPECT_FALSE(page.error().message.empty());
}

TEST_P(Conformance, AListingWhileWritingLosesNoKeyThatStays) {
  auto store = fresh();
  const auto stay = numbered(300, "stay:");
  put(*store, stay);
  put(*store, numbered(300, "go:"));
  std::multiset<std::string> listed;
  std::string cursor;
  int round = 0;
  do {
    auto page = run(store->list({.cursor = cursor, .limit = 20}));
    ASSERT_TRUE(page) << page.error().message;
    for (const EntryView& entry : page->entries) listed.insert(std::string(entry.key));
    cursor = page->cursor;
    // Before, at and behind the place of the listing: new keys, replaced keys, erased keys.
    const std::string n = fmt::format("{:06}", round * 10);
    put(*store, {{"new:" + n, "v", {}, 0},
                 {"stay:" + n, "replaced", R"({"r":1})", 0},
                 {"stay:" + n + "x", "v", {}, 0},
                 {"a" + n, "v", {}, 0}});
    erase(*store, {"go:" + n, fmt::format("go:{:06}", 299 - round)});
    ASSERT_LT(++round, 2000);
  } while (!cursor.empty());
  for (const Entry& entry : stay) {
    EXPECT_GE(listed.count(entry.key), 1u) << entry.key;
    if (!store->capabilities().repeats_keys) EXPECT_EQ(listed.count(entry.key), 1u) << entry.key;
  }
}

}  // namespace sluice::store::conformance
