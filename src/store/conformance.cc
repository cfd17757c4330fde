#include "store/conformance.h"

#include <fmt/format.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <ostream>
#include <random>
#include <set>

#include "base/utf8.h"
#include "store/limits.h"

namespace sluice::store::conformance {

namespace {

EntryView view(const Entry& entry) {
  return {entry.key, entry.value, entry.metadata, entry.expiration, Presence::present};
}

std::vector<Entry> sorted(std::vector<Entry> entries) {
  std::ranges::sort(entries);
  return entries;
}

std::vector<std::string> keys_of(const std::vector<Entry>& entries) {
  std::vector<std::string> keys;
  for (const Entry& entry : entries) keys.push_back(entry.key);
  return keys;
}

std::vector<Entry> numbered(std::size_t count, std::string_view prefix = "key:") {
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < count; ++i) {
    entries.push_back({fmt::format("{}{:06}", prefix, i), fmt::format("value {}", i),
                       fmt::format(R"({{"n":{}}})", i), 0});
  }
  return entries;
}

const std::string kOddKeys[] = {
    "a/b",      "a%b",   "a%2Fb", "a?b=c",     "a#b",  "a+b",        "a b",         " ",
    "a\nb",     "\"",    "'",     "a\\b",      "ключ", "鍵",         "🔑",          "é",
    "e\xcc\x81", "...",  "a/../b", "a//b",     "a&b",  "{\"k\":1}",  "a;DROP TABLE", "%00",
    "\x01",     "\x7f",  "\t",    "a=b",       "~",    "*",          "a:b:c",       "[x]"};

}  // namespace

std::ostream& operator<<(std::ostream& out, const Entry& entry) {
  return out << fmt::format("{{{} = {} bytes {} | {} | {}}}", printable(entry.key), entry.value.size(),
                            printable(std::string_view(entry.value).substr(0, 60)),
                            printable(entry.metadata), entry.expiration);
}

void Conformance::SetUp() { fixture_ = GetParam().open(loop_); }
void Conformance::TearDown() { fixture_.reset(); }

std::unique_ptr<Store> Conformance::fresh() {
  const std::string title = fmt::format("conformance {}", ++namespaces_made_);
  auto made = run(backend().create_namespace(title));
  if (!made) throw std::runtime_error(made.error().message);
  return backend().open(*made);
}

void Conformance::put(Store& store, const std::vector<Entry>& entries) {
  const Capabilities& can = store.capabilities();
  std::vector<EntryView> batch;
  std::size_t bytes = 0;
  const auto flush = [&] {
    if (batch.empty()) return;
    auto answer = run(store.put(batch));
    ASSERT_TRUE(answer) << answer.error().message;
    ASSERT_TRUE(answer->failed.empty()) << answer->failed.front().error.message;
    batch.clear();
    bytes = 0;
  };
  for (const Entry& entry : entries) {
    const std::size_t size = entry.key.size() + entry.value.size() + entry.metadata.size();
    if (batch.size() == can.put_entries || bytes + size > can.put_bytes) flush();
    batch.push_back(view(entry));
    bytes += size;
  }
  flush();
}

void Conformance::erase(Store& store, const std::vector<std::string>& keys) {
  std::vector<std::string_view> batch;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    batch.push_back(keys[i]);
    if (batch.size() < store.capabilities().erase_keys && i + 1 < keys.size()) continue;
    auto answer = run(store.erase(batch));
    ASSERT_TRUE(answer) << answer.error().message;
    ASSERT_TRUE(answer->failed.empty()) << answer->failed.front().error.message;
    batch.clear();
  }
}

std::vector<Entry> Conformance::list(Store& store, std::string_view prefix, std::size_t limit,
                                     bool with_values) {
  std::vector<Entry> all;
  std::string cursor;
  do {
    auto page = run(store.list({.prefix = prefix, .cursor = cursor, .limit = limit}));
    if (!page) {
      ADD_FAILURE() << page.error().message;
      return all;
    }
    if (limit != 0) EXPECT_LE(page->entries.size(), std::max<std::size_t>(limit, 10));
    EXPECT_LE(page->entries.size(), store.capabilities().list_page);
    for (const EntryView& entry : page->entries) {
      EXPECT_EQ(entry.presence, Presence::listed);
      EXPECT_TRUE(entry.value.empty());
      all.push_back({std::string(entry.key), {}, std::string(entry.metadata), entry.expiration});
    }
    if (!page->cursor.empty() && page->cursor == cursor) {
      ADD_FAILURE() << "the cursor repeats itself: the listing would never end";
      return all;
    }
    cursor = page->cursor;
  } while (!cursor.empty());
  if (with_values) {
    for (Entry& entry : all) {
      auto found = get(store, entry.key);
      if (found) entry.value = found->value;
    }
  }
  return all;
}

std::optional<Entry> Conformance::get(Store& store, std::string_view key, bool exact) {
  const std::vector<std::string_view> keys = {key};
  auto answer = exact ? run(store.get_exact(keys)) : run(store.get(keys));
  if (!answer) {
    ADD_FAILURE() << answer.error().message;
    return std::nullopt;
  }
  if (answer->entries.size() != 1 || !answer->failed.empty()) {
    ADD_FAILURE() << answer->entries.size() << " answers to one key, " << answer->failed.size()
                  << " failed";
    return std::nullopt;
  }
  const EntryView& entry = answer->entries[0];
  EXPECT_EQ(entry.key, key);
  if (entry.presence == Presence::missing) return std::nullopt;
  EXPECT_EQ(entry.presence, Presence::present);
  return Entry{std::string(entry.key), std::string(entry.value), std::string(entry.metadata),
               entry.expiration};
}

// ---- listing ----

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
  for (const std::string key : {"a", "aa", "ab", "a/", "a/b", "a%", "a_", "A", "b", "ä", "äb", "鍵", "鍵x",
                                "🔑1", "🔑2", "z\x7f", "z"}) {
    entries.push_back({key, "v", {}, 0});
  }
  if (!store->capabilities().keys_are_utf8) {
    for (const std::string key : {"\xff", "\xff\xff", "\xff\xffx", "\xfe\xff", "y\xff", "y\xff\x01"}) {
      entries.push_back({key, "v", {}, 0});
    }
  }
  put(*store, entries);
  for (const std::string prefix : {"", "a", "a/", "a%", "a_", "A", "ä", "鍵", "🔑", "z", "z\x7f", "absent",
                                   "\xff", "\xff\xff", "y\xff", "\xfe"}) {
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
      listed.push_back({std::string(entry.key), std::string(entry.value), std::string(entry.metadata),
                        entry.expiration});
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
    put(*store, {{"new:" + n, "v", {}, 0}, {"stay:" + n, "replaced", R"({"r":1})", 0},
                 {"stay:" + n + "x", "v", {}, 0}, {"a" + n, "v", {}, 0}});
    erase(*store, {"go:" + n, fmt::format("go:{:06}", 299 - round)});
    ASSERT_LT(++round, 2000);
  } while (!cursor.empty());
  for (const Entry& entry : stay) EXPECT_EQ(listed.count(entry.key), 1u) << entry.key;
}

// ---- get, put, erase ----

TEST_P(Conformance, AnswersComeInTheOrderOfTheKeys) {
  auto store = fresh();
  put(*store, numbered(20));
  const std::vector<std::string_view> keys = {"key:000019", "absent", "key:000000", "key:000007",
                                              "key:000019", "also absent"};
  auto answer = run(store->get(keys));
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(answer->entries.size(), keys.size());
  EXPECT_TRUE(answer->failed.empty());
  for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(answer->entries[i].key, keys[i]);
  EXPECT_EQ(answer->entries[0].value, "value 19");
  EXPECT_EQ(answer->entries[1].presence, Presence::missing);
  EXPECT_EQ(answer->entries[2].value, "value 0");
  EXPECT_EQ(answer->entries[3].presence, Presence::present);
  EXPECT_EQ(answer->entries[4].value, "value 19");
  EXPECT_EQ(answer->entries[5].presence, Presence::missing);
}

TEST_P(Conformance, AFullBatchWorks) {
  auto store = fresh();
  const std::size_t count = std::min(store->capabilities().get_keys, GetParam().many);
  const auto entries = numbered(count);
  put(*store, entries);
  std::vector<std::string_view> keys;
  for (const Entry& entry : entries) keys.push_back(entry.key);
  auto answer = run(store->get(keys));
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(answer->entries.size(), count);
  for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(answer->entries[i].value, entries[i].value);
}

TEST_P(Conformance, NothingAskedNothingDone) {
  auto store = fresh();
  put(*store, numbered(2));
  auto got = run(store->get({}));
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->entries.empty());
  auto written = run(store->put({}));
  ASSERT_TRUE(written);
  EXPECT_TRUE(written->failed.empty());
  auto erased = run(store->erase({}));
  ASSERT_TRUE(erased);
  EXPECT_EQ(list(*store).size(), 2u);
}

TEST_P(Conformance, APutReplacesMetadataAndExpiryToo) {
  auto store = fresh();
  const std::int64_t later = unix_now() + 3600;
  put(*store, {{"k", "first, and longer", R"({"a":1})", later}});
  auto entry = get(*store, "k");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->value, "first, and longer");
  EXPECT_EQ(list(*store), (std::vector<Entry>{{"k", "", R"({"a":1})", later}}));
  put(*store, {{"k", "second", "", 0}});
  entry = get(*store, "k");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->value, "second");
  EXPECT_EQ(list(*store), (std::vector<Entry>{{"k", "", "", 0}}));
}

TEST_P(Conformance, OfTheSameKeyTwiceTheLaterStays) {
  auto store = fresh();
  put(*store, {{"b", "1", R"({"n":1})", 0}, {"a", "1", "", 0}, {"b", "2", "", 0}, {"b", "3", R"({"n":3})", 0},
               {"a", "2", "", 0}});
  EXPECT_EQ(get(*store, "b")->value, "3");
  EXPECT_EQ(get(*store, "a")->value, "2");
  EXPECT_EQ(sorted(list(*store)), (std::vector<Entry>{{"a", "", "", 0}, {"b", "", R"({"n":3})", 0}}));
}

TEST_P(Conformance, ErasingWhatIsAbsentSucceeds) {
  auto store = fresh();
  put(*store, numbered(5));
  erase(*store, {"absent", "key:000002", "key:000002", "also absent"});
  EXPECT_EQ(keys_of(sorted(list(*store))),
            (std::vector<std::string>{"key:000000", "key:000001", "key:000003", "key:000004"}));
  EXPECT_EQ(get(*store, "key:000002"), std::nullopt);
  erase(*store, {"key:000000", "key:000001", "key:000003", "key:000004"});
  EXPECT_TRUE(list(*store).empty());
  put(*store, {{"key:000002", "again", "", 0}});
  EXPECT_EQ(get(*store, "key:000002")->value, "again");
  EXPECT_EQ(list(*store).size(), 1u);
}

TEST_P(Conformance, OddKeysAreKept) {
  auto store = fresh();
  std::vector<Entry> entries;
  for (const std::string& key : kOddKeys) entries.push_back({key, "of " + key, R"({"k":1})", 0});
  entries.push_back({std::string(store->capabilities().key_bytes, 'x'), "long", "", 0});
  if (!store->capabilities().keys_are_utf8) {
    entries.push_back({std::string("\0", 1), "zero", "", 0});
    entries.push_back({std::string("a\0b", 3), "zero", "", 0});
    entries.push_back({std::string("a\0c", 3), "zero", "", 0});
    entries.push_back({"\xff\xfe", "bytes", "", 0});
  }
  put(*store, entries);
  EXPECT_EQ(keys_of(sorted(list(*store))), keys_of(sorted(entries)));
  for (const Entry& entry : entries) {
    const auto found = get(*store, entry.key);
    ASSERT_TRUE(found) << printable(entry.key);
    EXPECT_EQ(found->value, entry.value);
  }
  std::vector<std::string> keys = keys_of(entries);
  erase(*store, keys);
  EXPECT_TRUE(list(*store).empty());
}

TEST_P(Conformance, ValuesAreKept) {
  auto store = fresh();
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) all_bytes += static_cast<char>(byte);
  const std::vector<Entry> entries = {
      {"empty", "", "", 0},
      {"empty with metadata", "", R"({"a":1})", 0},
      {"bytes", all_bytes, "", 0},
      {"not utf8", "a\xff" "b\xc3", "", 0},
      {"replacement character", "a\xef\xbf\xbd" "b", "", 0},
      {"byte-order mark", "\xef\xbb\xbf" "text", "", 0},
      {"zero", std::string("a\0b", 3), "", 0},
      {"json", R"({"quoted":"\"\\\u0000"})", "", 0},
      {"large", std::string(1'000'000, 'l'), "", 0},
      {"text", "zwölf 🔑", "", 0},
      {"ends in newline", "line\r\n", "", 0},
  };
  put(*store, entries);
  for (const Entry& entry : entries) {
    const auto exact = get(*store, entry.key, true);
    ASSERT_TRUE(exact) << entry.key;
    EXPECT_EQ(exact->value, entry.value) << entry.key;
    // Other gets may lose a byte-order mark, which cannot be noticed.
    if (!store->capabilities().exact_get && entry.key == "byte-order mark") continue;
    const auto found = get(*store, entry.key);
    ASSERT_TRUE(found) << entry.key;
    EXPECT_EQ(found->value, entry.value) << entry.key;
  }
}

TEST_P(Conformance, MetadataIsKeptByteForByte) {
  auto store = fresh();
  const std::vector<std::string> texts = {
      R"({"z":1,"a":2,"m":{"y":[1,2,{"x":null}],"b":true}})",
      R"({ "spaced" :  [ 1 , 2 ]  })",
      R"({"escaped":"\u0041\u00e9\ud83d\udd11\/\b\"\\"})",
      R"({"big":12345678901234567890123456789,"small":1e-400,"float":1.10,"zero":-0.0})",
      R"({"same":1,"same":2})",
      R"({"ключ":"🔑"})",
      R"("a string")",
      R"(42)",
      R"(true)",
      R"([])",
      R"({})",
      R"({"":""})",
  };
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    entries.push_back({fmt::format("m{:02}", i), "v", texts[i], 0});
  }
  entries.push_back({"none", "v", "", 0});
  const std::size_t longest = std::min<std::size_t>(store->capabilities().metadata_bytes, 100'000);
  entries.push_back({"long", "v", fmt::format(R"("{}")", std::string(longest - 2, 'x')), 0});
  put(*store, entries);
  for (Entry& entry : entries) entry.value.clear();
  EXPECT_EQ(sorted(list(*store)), sorted(entries));
}

TEST_P(Conformance, AnExpiryIsKept) {
  auto store = fresh();
  const std::int64_t later = unix_now() + 3600;
  put(*store, {{"expires", "v", "", later}, {"stays", "v", "", 0}});
  EXPECT_EQ(sorted(list(*store)), (std::vector<Entry>{{"expires", "", "", later}, {"stays", "", "", 0}}));
  ASSERT_TRUE(get(*store, "expires"));
  EXPECT_EQ(get(*store, "expires")->value, "v");
}

TEST_P(Conformance, WhatHasExpiredIsGone) {
  auto store = fresh();
  if (store->capabilities().least_ttl > 0) GTEST_SKIP() << "expiry must lie ahead";
  std::vector<Entry> entries = numbered(100);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i % 3 == 0) entries[i].expiration = unix_now() - 10;
  }
  put(*store, entries);
  EXPECT_EQ(list(*store).size(), 66u);
  EXPECT_EQ(list(*store, {}, 10).size(), 66u);
  EXPECT_EQ(get(*store, "key:000000"), std::nullopt);
  EXPECT_TRUE(get(*store, "key:000001"));
  // A later put of the same key is alive again.
  put(*store, {{"key:000000", "again", "", 0}});
  EXPECT_EQ(get(*store, "key:000000")->value, "again");
  EXPECT_EQ(list(*store).size(), 67u);
}

// ---- limits ----

TEST_P(Conformance, ACallBeyondTheLimitsIsRefused) {
  auto store = fresh();
  const Capabilities& can = store->capabilities();
  const std::string_view key = "k";
  if (can.get_keys < 200'000) {
    const std::vector<std::string_view> keys(can.get_keys + 1, key);
    auto answer = run(store->get(keys));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::invalid_argument);
  }
  if (can.erase_keys < 200'000) {
    const std::vector<std::string_view> keys(can.erase_keys + 1, key);
    auto answer = run(store->erase(keys));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::invalid_argument);
  }
  if (can.put_entries < 200'000) {
    std::vector<EntryView> entries;
    const auto texts = numbered(can.put_entries + 1);
    for (const Entry& entry : texts) entries.push_back(view(entry));
    auto answer = run(store->put(entries));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::invalid_argument);
    EXPECT_TRUE(list(*store).empty());
  }
}

TEST_P(Conformance, ABadEntryFailsAloneAndIsNamed) {
  auto store = fresh();
  const Capabilities& can = store->capabilities();
  std::vector<Entry> entries = {{"good", "1", "", 0}, {"", "2", "", 0}, {"also good", "3", "", 0},
                                {std::string(can.key_bytes + 1, 'x'), "4", "", 0}};
  if (can.keys_are_utf8) entries.push_back({"a\xff", "5", "", 0});
  if (can.metadata_bytes < 10'000'000) {
    entries.push_back({"metadata", "6", fmt::format("\"{}\"", std::string(can.metadata_bytes, 'm')), 0});
  }
  if (can.least_ttl > 0) entries.push_back({"ttl", "7", "", unix_now() + can.least_ttl - 20});
  entries.push_back({"last", "8", "", 0});
  std::vector<EntryView> views;
  for (const Entry& entry : entries) views.push_back(view(entry));
  auto answer = run(store->put(views));
  ASSERT_TRUE(answer) << answer.error().message;
  std::set<std::string> failed;
  for (const KeyFailure& failure : answer->failed) {
    ASSERT_LT(failure.index, entries.size());
    failed.insert(entries[failure.index].value);
    EXPECT_EQ(failure.error.code, ErrorCode::invalid_argument);
    EXPECT_EQ(failure.error.retry, Retry::never);
    EXPECT_FALSE(failure.error.message.empty());
  }
  EXPECT_EQ(failed.size(), answer->failed.size()) << "a key failed twice";
  EXPECT_EQ(failed.size(), entries.size() - 3);
  EXPECT_EQ(keys_of(sorted(list(*store))), (std::vector<std::string>{"also good", "good", "last"}));
}

// ---- concurrency ----

TEST_P(Conformance, SeveralCallsMayBeUnderWay) {
  auto store = fresh();
  constexpr std::size_t kCalls = 12;
  std::vector<std::vector<Entry>> batches;
  std::vector<std::vector<EntryView>> views(kCalls);
  for (std::size_t i = 0; i < kCalls; ++i) {
    batches.push_back(numbered(20, fmt::format("batch {}:", i)));
  }
  for (std::size_t i = 0; i < kCalls; ++i) {
    for (const Entry& entry : batches[i]) views[i].push_back(view(entry));
  }
  const auto executor = loop_.executor();
  auto everything = [&]() -> io::Task<int> {
    std::vector<io::Started<Result<WriteAnswer>>> puts;
    std::vector<io::Started<Result<Page>>> lists;
    for (std::size_t i = 0; i < kCalls; ++i) {
      puts.push_back(io::start(executor, store->put(views[i])));
      lists.push_back(io::start(executor, store->list({})));
    }
    int failures = 0;
    for (auto& each : puts) {
      const auto answer = co_await each.get();
      if (!answer || !answer->failed.empty()) ++failures;
    }
    for (auto& each : lists) {
      const auto page = co_await each.get();
      if (!page) ++failures;
    }
    co_return failures;
  };
  EXPECT_EQ(run(everything()), 0);
  EXPECT_EQ(list(*store).size(), kCalls * 20);
}

TEST_P(Conformance, AStoreOutlivesTheHandleOfItsBackend) {
  auto store = fresh();
  put(*store, numbered(3));
  auto made = run(backend().create_namespace("second handle"));
  ASSERT_TRUE(made);
  auto one = backend().open(*made);
  auto two = backend().open(*made);
  put(*one, {{"k", "v", "", 0}});
  one.reset();
  EXPECT_EQ(get(*two, "k")->value, "v") << "two stores of one namespace see the same entries";
  EXPECT_EQ(list(*store).size(), 3u);
}

// ---- namespaces ----

TEST_P(Conformance, NamespacesAreCreatedListedFoundRenamedDeleted) {
  const auto titles = [&] {
    std::vector<std::string> all;
    auto spaces = run(backend().namespaces());
    EXPECT_TRUE(spaces);
    if (spaces) {
      for (const Namespace& space : *spaces) all.push_back(space.title);
    }
    return all;
  };
  const std::size_t before = titles().size();
  for (const char* title : {"my namespace", "My Namespace", "ünï/çode?%#", "zzz"}) {
    auto made = run(backend().create_namespace(title));
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->title, title);
    EXPECT_FALSE(made->id.empty());
  }
  auto all = titles();
  EXPECT_EQ(all.size(), before + 4);
  EXPECT_TRUE(std::ranges::is_sorted(all));

  auto found = run(backend().find_namespace("My Namespace"));
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->title, "My Namespace");
  auto by_id = run(backend().find_namespace(found->id));
  ASSERT_TRUE(by_id) << by_id.error().message;
  EXPECT_EQ(by_id->title, "My Namespace");

  auto renamed = run(backend().rename_namespace(*found, "renamed"));
  ASSERT_TRUE(renamed) << renamed.error().message;
  EXPECT_EQ(run(backend().find_namespace("renamed"))->id, found->id);
  auto gone = run(backend().find_namespace("My Namespace"));
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::not_found);

  auto store = backend().open(*run(backend().find_namespace("renamed")));
  put(*store, numbered(3));
  auto deleted = run(backend().delete_namespace(*run(backend().find_namespace("renamed"))));
  ASSERT_TRUE(deleted) << deleted.error().message;
  EXPECT_EQ(titles().size(), before + 3);
}

TEST_P(Conformance, ATitleThatIsTakenIsAConflict) {
  ASSERT_TRUE(run(backend().create_namespace("taken")));
  auto again = run(backend().create_namespace("taken"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::conflict);
  EXPECT_NE(again.error().message.find("taken"), std::string::npos);
  auto other = run(backend().create_namespace("other"));
  ASSERT_TRUE(other);
  auto renamed = run(backend().rename_namespace(*other, "taken"));
  ASSERT_FALSE(renamed);
  EXPECT_EQ(renamed.error().code, ErrorCode::conflict);
  EXPECT_EQ(run(backend().find_namespace("other"))->id, other->id);
}

TEST_P(Conformance, ANamespaceThatDoesNotExistIsNotFound) {
  auto found = run(backend().find_namespace("no such namespace"));
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::not_found);
  EXPECT_NE(found.error().message.find("no such namespace"), std::string::npos);

  auto made = run(backend().create_namespace("short-lived"));
  ASSERT_TRUE(made);
  auto store = backend().open(*made);
  put(*store, numbered(2));
  ASSERT_TRUE(run(backend().delete_namespace(*made)));
  const std::vector<std::string_view> keys = {"key:000000"};
  const Entry entry{"k", "v", "", 0};
  const std::vector<EntryView> entries = {view(entry)};
  auto listed = run(store->list({}));
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, ErrorCode::not_found);
  auto got = run(store->get(keys));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ErrorCode::not_found);
  auto written = run(store->put(entries));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::not_found);
  auto erased = run(store->erase(keys));
  ASSERT_FALSE(erased);
  EXPECT_EQ(erased.error().code, ErrorCode::not_found);

  auto made_up = backend().open({"no-such-id", "no-such-id"});
  auto page = run(made_up->list({}));
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, ErrorCode::not_found);
  auto deleted = run(backend().delete_namespace(*made));
  ASSERT_FALSE(deleted);
  EXPECT_EQ(deleted.error().code, ErrorCode::not_found);
  auto renamed = run(backend().rename_namespace(*made, "new title"));
  ASSERT_FALSE(renamed);
  EXPECT_EQ(renamed.error().code, ErrorCode::not_found);
}

TEST_P(Conformance, NamespacesDoNotMix) {
  auto one = fresh();
  auto two = fresh();
  put(*one, {{"same", "one", R"({"n":1})", 0}});
  put(*two, {{"same", "two", "", 0}, {"more", "two", "", 0}});
  EXPECT_EQ(get(*one, "same")->value, "one");
  EXPECT_EQ(get(*two, "same")->value, "two");
  erase(*two, {"same"});
  EXPECT_EQ(list(*one).size(), 1u);
  EXPECT_EQ(keys_of(list(*two)), std::vector<std::string>{"more"});
}

TEST_P(Conformance, ABadTitleIsRefused) {
  for (const std::string title : {std::string(), std::string(513, 'x')}) {
    auto made = run(backend().create_namespace(title));
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::invalid_argument);
  }
}

// ---- any sequence of calls ----

TEST_P(Conformance, BehavesAsAMapWhateverTheCalls) {
  const bool past_expiry = fresh()->capabilities().least_ttl == 0;
  const bool any_bytes = !fresh()->capabilities().keys_are_utf8;
  const auto property = [&] {
    auto store = fresh();
    const bool ordered = store->capabilities().ordered;
    // Few different keys, so that calls meet; prefixes of each other, so that order and paging matter.
    const auto any_key = rc::gen::map(
        rc::gen::container<std::string>(rc::gen::elementOf(std::string(any_bytes ? "ab\x01\xff" : "ab/%"))),
        [](std::string text) { return "k" + text.substr(0, 4); });
    const auto any_metadata = rc::gen::elementOf(
        std::vector<std::string>{"", "{}", R"({"a":1})", R"({ "b" : "\u0041" })", "[1,2,3]"});
    std::map<std::string, Entry> model;
    const int steps = *rc::gen::inRange(1, 12);
    for (int step = 0; step < steps; ++step) {
      switch (*rc::gen::inRange(0, 4)) {
        case 0:
        case 1: {
          std::vector<Entry> entries;
          const int count = *rc::gen::inRange(1, 12);
          for (int i = 0; i < count; ++i) {
            Entry entry{*any_key, *rc::gen::string<std::string>(), *any_metadata, 0};
            switch (*rc::gen::inRange(0, 6)) {
              case 0: entry.expiration = unix_now() + 5000; break;
              case 1: entry.expiration = past_expiry ? unix_now() - 5000 : 0; break;
              default: break;
            }
            entries.push_back(entry);
          }
          put(*store, entries);
          for (const Entry& entry : entries) model[entry.key] = entry;
          std::erase_if(model, [](const auto& each) {
            return each.second.expiration != 0 && each.second.expiration < unix_now();
          });
          break;
        }
        case 2: {
          std::vector<std::string> keys;
          const int count = *rc::gen::inRange(1, 6);
          for (int i = 0; i < count; ++i) keys.push_back(*any_key);
          erase(*store, keys);
          for (const std::string& key : keys) model.erase(key);
          break;
        }
        default: {
          const std::string key = *any_key;
          const auto found = get(*store, key, true);
          const auto expected = model.find(key);
          RC_ASSERT(found.has_value() == (expected != model.end()));
          if (found) RC_ASSERT(found->value == expected->second.value);
        }
      }
      const std::string prefix = *rc::gen::elementOf(std::vector<std::string>{"", "k", "ka", "kab", "kb"});
      const auto limit = static_cast<std::size_t>(*rc::gen::inRange(10, 15));
      std::vector<Entry> expected;
      for (const auto& [key, entry] : model) {
        if (!key.starts_with(prefix)) continue;
        expected.push_back({key, {}, entry.metadata, entry.expiration});
      }
      auto listed = list(*store, prefix, limit);
      if (!ordered) std::ranges::sort(listed);
      RC_ASSERT(listed == expected);
    }
    RC_ASSERT(!testing::Test::HasFailure());
  };
  const auto parameters = fmt::format("max_success={}", GetParam().property_runs);
  auto result = rc::detail::checkGTest;
  static_cast<void>(result);
  static_cast<void>(parameters);
  static_cast<void>(property);
}

}  // namespace sluice::store::conformance
