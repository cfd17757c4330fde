#include <algorithm>
#include <random>

#include "postgres/binary.h"
#include "store/limits.h"
#include "store/postgres/postgres_test.h"

namespace sluice::store::postgres_test {
namespace {

// COPY into the table fails where a key is there already; then the batch is written over them.
TEST_F(PostgresStoreTest, APutOverOldKeysIsWholeAndLaterPutsGoOn) {
  Site site(loop_, url());
  auto store = site.store();
  std::vector<conformance::Entry> expected;
  for (int round = 0; round < 40; ++round) {
    auto entries = conformance::numbered(200 + static_cast<std::size_t>(round) * 10);
    for (auto& entry : entries) entry.value += fmt::format(" in round {}", round);
    put(*store, entries);
    expected = entries;
  }
  EXPECT_EQ(list(*store), expected);
}

TEST_F(PostgresStoreTest, WritersOfTheSameKeysDoNotHinderEachOther) {
  Site site(loop_, url());
  auto store = site.store();
  put(*store, {{"key:000100", "v", "", 0}});
  constexpr std::size_t kWriters = 10;
  std::vector<std::vector<conformance::Entry>> entries(kWriters, conformance::numbered(400));
  std::vector<std::vector<EntryView>> views(kWriters);
  std::mt19937 random(3);
  for (std::size_t i = 0; i < kWriters; ++i) {
    std::ranges::shuffle(entries[i], random);
    for (auto& entry : entries[i]) {
      entry.value = fmt::format("writer {}", i);
      views[i].push_back(conformance::view(entry));
    }
  }
  auto everything = [&]() -> io::Task<std::string> {
    std::vector<io::Started<Result<WriteAnswer>>> puts;
    for (const auto& each : views) puts.push_back(io::start(loop_.executor(), store->put(each)));
    std::string failures;
    for (auto& each : puts) {
      const auto answer = co_await each.get();
      if (!answer) failures += answer.error().message;
    }
    co_return failures;
  };
  EXPECT_EQ(loop_.run(everything()), "");
  // Puts are whole: one of them was the last.
  const auto all = list(*store);
  ASSERT_EQ(all.size(), 400u);
  for (const auto& entry : all) EXPECT_EQ(entry.value, all.front().value) << entry.key;
}

TEST_F(PostgresStoreTest, MetadataThatPostgresRefusesFailsTheBatchOrTheEntry) {
  Site site(loop_, url());
  auto store = site.store();
  auto answer = try_put(*store, {{"a", "v", "\"\xff\"", 0},
                                 {"b", "v", std::string("\"\0\"", 3), 0},
                                 {"c", "v", "", postgres::kEndOfTime},
                                 {"d", "v", R"("\u0000")", 0}});
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(answer->failed.size(), 3u);
  for (const KeyFailure& failure : answer->failed) {
    EXPECT_EQ(failure.error.code, ErrorCode::invalid_argument);
    EXPECT_NE(failure.error.message.find(static_cast<char>('a' + failure.index)),
              std::string::npos);
  }
  EXPECT_EQ(list(*store), (std::vector<conformance::Entry>{{"d", "v", R"("\u0000")", 0}}));
  // What only the server finds, with few and with many entries.
  for (const std::size_t count : {2, 300}) {
    auto entries = conformance::numbered(count);
    entries[1].metadata = "{not json}";
    const Error error = error_of(try_put(*store, entries));
    EXPECT_EQ(error.code, ErrorCode::invalid_argument) << error.message;
    EXPECT_EQ(error.retry, Retry::never);
    EXPECT_NE(error.message.find("json"), std::string::npos) << error.message;
    EXPECT_EQ(list(*store).size(), 1u) << "nothing of a put that failed";
  }
}

TEST_F(PostgresStoreTest, TheLongestKeyFitsTheIndex) {
  Site site(loop_, url());
  auto store = site.store();
  std::mt19937 random(9);  // what cannot be compressed
  std::string key;
  while (key.size() < store->capabilities().key_bytes) key += static_cast<char>(random());
  put(*store, {{key, "v", "", 0}});
  EXPECT_EQ(get(*store, {key})->entries[0].value, "v");
  EXPECT_EQ(list(*store).front().key, key);
}

TEST_F(PostgresStoreTest, PagesAreBoundedByBytes) {
  Site site(loop_, url());
  auto store = site.store();
  std::mt19937 random(11);
  std::vector<conformance::Entry> entries = conformance::numbered(300);
  for (auto& entry : entries) {
    entry.value.resize(random() % 5 == 0 ? 300'000 : random() % 3000, 'x');
    // Compresses to nearly nothing, so that its size in the table says little.
    if (random() % 20 == 0) entry.metadata = fmt::format("\"{}\"", std::string(500'000, 'm'));
  }
  for (std::size_t i = 0; i < entries.size(); i += 10) {
    put(*store, {entries.begin() + static_cast<std::ptrdiff_t>(i),
                 entries.begin() + static_cast<std::ptrdiff_t>(i + 10)});
  }
  EXPECT_EQ(list(*store, true), entries);
  EXPECT_LE(largest_page_, 3u << 20);
  largest_page_ = 0;
  auto listed = list(*store, false);
  EXPECT_LE(largest_page_, 3u << 20);
  EXPECT_GT(largest_page_, 1u << 20) << "pages are of use";
  for (auto& entry : entries) entry.value.clear();
  EXPECT_EQ(listed, entries);
}

TEST_F(PostgresStoreTest, AGetIsBoundedByBytes) {
  Site site(loop_, url());
  auto store = site.store();
  put(*store, {{"large", std::string(20'000'000, 'l'), "", 0}});
  for (const char* key : {"a", "b", "c"}) put(*store, {{key, std::string(3'000'000, *key), "", 0}});
  EXPECT_EQ(get(*store, {"large"})->entries[0].value.size(), 20'000'000u);
  EXPECT_EQ(get(*store, {"large", "absent"})->entries[0].value.size(), 20'000'000u);
  const Error error = error_of(get(*store, {"a", "b", "c"}));
  EXPECT_EQ(error.code, ErrorCode::too_large);
  EXPECT_EQ(error.retry, Retry::smaller);
  EXPECT_EQ(get(*store, {"a", "c"})->entries[1].value, std::string(3'000'000, 'c'));
}

TEST_F(PostgresStoreTest, AStretchOfExpiredRowsGivesEmptyPagesThatAreNotTheEnd) {
  Site site(loop_, url());
  auto store = site.store();
  auto entries = conformance::numbered(12'000);
  for (auto& entry : entries) entry.expiration = unix_now() - 5;
  entries.push_back({"z", "alive", "", 0});
  put(*store, entries);
  auto page = loop_.run(store->list({}));
  ASSERT_TRUE(page);
  EXPECT_TRUE(page->entries.empty());
  EXPECT_FALSE(page->cursor.empty());
  EXPECT_EQ(list(*store), (std::vector<conformance::Entry>{{"z", "alive", "", 0}}));
}

}  // namespace
}  // namespace sluice::store::postgres_test
