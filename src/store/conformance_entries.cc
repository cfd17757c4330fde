// Conformance: what is put is what is got, and what is refused.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/utf8.h"
#include "store/conformance.h"
#include "store/limits.h"

namespace sluice::store::conformance {

namespace {

const std::string kOddKeys[] = {
    "a/b",       "a%b",  "a%2Fb",  "a?b=c", "a#b",  "a+b",       "a b",          " ",
    "a\nb",      "\"",   "'",      "a\\b",  "ключ", "鍵",        "🔑",           "é",
    "e\xcc\x81", "...",  "a/../b", "a//b",  "a&b",  "{\"k\":1}", "a;DROP TABLE", "%00",
    "\x01",      "\x7f", "\t",     "a=b",   "~",    "*",         "a:b:c",        "[x]"};

}  // namespace

TEST_P(Conformance, AnswersComeInTheOrderOfTheKeys) {
  auto store = fresh();
  put(*store, numbered(20));
  const std::vector<std::string_view> keys = {"key:000019", "absent",     "key:000000",
                                              "key:000007", "key:000019", "also absent"};
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

TEST_P(Conformance, MetadataIsThatOfAGet) {
  auto store = fresh();
  const std::int64_t later = unix_now() + 3600;
  put(*store, {{"a", "1", "", 0},
               {"b", std::string("\xFF\x00", 2), R"({"n": 1})", later},
               {"d", "", "", later},
               {"e", "", R"([ 1 ])", 0}});
  const std::string long_key(store->capabilities().key_bytes + 1, 'k');
  const std::vector<std::string_view> keys{"e", "c", "b", long_key, "a", "d", "b"};
  auto known = run(store->get(keys));
  auto told = run(store->get_metadata(keys));
  ASSERT_TRUE(known) << known.error().message;
  ASSERT_TRUE(told) << told.error().message;
  ASSERT_EQ(told->entries.size(), keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(told->entries[i].key, keys[i]);
    const Presence presence = told->entries[i].presence == Presence::listed
                                  ? Presence::present
                                  : told->entries[i].presence;
    EXPECT_EQ(presence, known->entries[i].presence) << keys[i];
    EXPECT_EQ(told->entries[i].metadata, known->entries[i].metadata) << keys[i];
    EXPECT_EQ(told->entries[i].expiration, known->entries[i].expiration) << keys[i];
  }
  EXPECT_EQ(told->entries[2].metadata, R"({"n": 1})");
  EXPECT_EQ(told->entries[2].expiration, later);
  EXPECT_EQ(told->failed.size(), known->failed.size());
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
  put(*store, {{"b", "1", R"({"n":1})", 0},
               {"a", "1", "", 0},
               {"b", "2", "", 0},
               {"b", "3", R"({"n":3})", 0},
               {"a", "2", "", 0}});
  EXPECT_EQ(get(*store, "b")->value, "3");
  EXPECT_EQ(get(*store, "a")->value, "2");
  EXPECT_EQ(sorted(list(*store)),
            (std::vector<Entry>{{"a", "", "", 0}, {"b", "", R"({"n":3})", 0}}));
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
      {"not utf8",
       "a\xff"
       "b\xc3",
       "", 0},
      {"replacement character",
       "a\xef\xbf\xbd"
       "b",
       "", 0},
      {"byte-order mark",
       "\xef\xbb\xbf"
       "text",
       "", 0},
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
  EXPECT_EQ(sorted(list(*store)),
            (std::vector<Entry>{{"expires", "", "", later}, {"stays", "", "", 0}}));
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
  std::vector<Entry> entries = {{"good", "1", "", 0},
                                {"", "2", "", 0},
                                {"also good", "3", "", 0},
                                {std::string(can.key_bytes + 1, 'x'), "4", "", 0}};
  if (can.keys_are_utf8) entries.push_back({"a\xff", "5", "", 0});
  if (can.metadata_bytes < 10'000'000) {
    entries.push_back(
        {"metadata", "6", fmt::format("\"{}\"", std::string(can.metadata_bytes, 'm')), 0});
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

TEST_P(Conformance, SeveralCallsMayBeUnderWay) {
  auto store = fresh();
  constexpr std::size_t kCalls = 12;
  std::vector<std::vector<Entry>> batches;
  std::vector<std::vector<EntryView>> views(kCalls);
  const std::size_t size = std::min<std::size_t>(20, store->capabilities().put_entries);
  for (std::size_t i = 0; i < kCalls; ++i) {
    batches.push_back(numbered(size, fmt::format("batch {}:", i)));
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
  EXPECT_EQ(list(*store).size(), kCalls * size);
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

}  // namespace sluice::store::conformance
