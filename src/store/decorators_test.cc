// DryRun, Timed, FaultyStore, Block and the limits: what stands around a store.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "store/dry_run.h"
#include "store/faulty.h"
#include "store/limits.h"
#include "store/memory/memory.h"
#include "store/timed.h"

namespace sluice::store {
namespace {

class DecoratorTest : public testing::Test {
 protected:
  std::unique_ptr<Store> below() {
    return backend_->open(*loop_.run(backend_->find_namespace("default")));
  }
  std::size_t count() { return loop_.run(below()->list({}))->entries.size(); }

  io::Loop loop_;
  std::unique_ptr<Backend> backend_ = make_memory_backend();
  std::vector<EntryView> entries_ = {{"a", "1", R"({"n":1})", 0, Presence::present},
                                     {"b", "22", {}, 0, Presence::present},
                                     {"c", "333", {}, 0, Presence::present}};
  std::vector<std::string_view> keys_ = {"a", "b", "c"};
};

TEST_F(DecoratorTest, ADryRunChangesNothingAndReads) {
  ASSERT_TRUE(loop_.run(below()->put(std::span(entries_).first(1))));
  DryRun dry(below());
  auto written = loop_.run(dry.put(entries_));
  ASSERT_TRUE(written);
  EXPECT_TRUE(written->failed.empty());
  auto erased = loop_.run(dry.erase(keys_));
  ASSERT_TRUE(erased);
  EXPECT_TRUE(erased->failed.empty());
  EXPECT_EQ(count(), 1u);
  EXPECT_EQ(loop_.run(dry.list({}))->entries.size(), 1u);
  EXPECT_EQ(loop_.run(dry.get(keys_))->entries[0].value, "1");
  EXPECT_EQ(loop_.run(dry.get_exact(keys_))->entries[1].presence, Presence::missing);
  EXPECT_EQ(dry.capabilities().put_entries, below()->capabilities().put_entries);
}

TEST_F(DecoratorTest, ADryRunRefusesWhatTheStoreWouldRefuse) {
  DryRun dry(below());
  const std::vector<EntryView> bad = {{"", "1", {}, 0, Presence::present}, entries_[0]};
  auto written = loop_.run(dry.put(bad));
  ASSERT_TRUE(written);
  ASSERT_EQ(written->failed.size(), 1u);
  EXPECT_EQ(written->failed[0].index, 0u);
  const std::vector<std::string_view> many(below()->capabilities().erase_keys + 1, "k");
  EXPECT_FALSE(loop_.run(dry.erase(many)));
}

TEST_F(DecoratorTest, TimedCountsWhatGoesThrough) {
  Log log(LogLevel::off);
  StoreStats stats;
  Timed timed(below(), log, stats);
  ASSERT_TRUE(loop_.run(timed.put(entries_)));
  ASSERT_TRUE(loop_.run(timed.list({})));
  ASSERT_TRUE(loop_.run(timed.get(keys_)));
  ASSERT_TRUE(loop_.run(timed.get_exact(std::span(keys_).first(2))));
  ASSERT_TRUE(loop_.run(timed.erase(std::span(keys_).first(1))));
  const std::vector<std::string_view> many(below()->capabilities().erase_keys + 1, "k");
  ASSERT_FALSE(loop_.run(timed.erase(many)));
  EXPECT_EQ(stats.put.calls, 1u);
  EXPECT_EQ(stats.put.keys, 3u);
  EXPECT_EQ(stats.put.bytes, 3u + 6u + 7u);
  EXPECT_EQ(stats.list.calls, 1u);
  EXPECT_EQ(stats.list.keys, 3u);
  EXPECT_EQ(stats.get.calls, 2u);
  EXPECT_EQ(stats.get.keys, 5u);
  EXPECT_EQ(stats.erase.calls, 2u);
  EXPECT_EQ(stats.erase.keys, 1u);
  EXPECT_EQ(stats.erase.failed_calls, 1u);
  EXPECT_GT(stats.put.time.count(), 0);
  EXPECT_EQ(count(), 2u);
}

TEST_F(DecoratorTest, TimedLogsACallAndNeverAKey) {
  Log log(LogLevel::debug);
  StoreStats stats;
  Timed timed(below(), log, stats);
  const std::vector<std::string_view> secret = {"a secret key"};
  testing::internal::CaptureStderr();
  const bool answered = loop_.run(timed.get(secret)).has_value();
  const std::string logged = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(answered);
  EXPECT_NE(logged.find("get: 1 keys"), std::string::npos) << logged;
  EXPECT_EQ(logged.find("secret"), std::string::npos);
}

TEST_F(DecoratorTest, AFaultyStoreFailsOnCommand) {
  FaultyStore faulty(below(), [](const FaultyCall& call) {
    Fault fault;
    if (call.operation == Operation::put && call.number == 1) {
      fault.fails = Error{ErrorCode::unavailable, Retry::again, {}, "broken"};
    }
    if (call.operation == Operation::put && call.number == 2) {
      fault.fails = Error{ErrorCode::network, Retry::again, {}, "cut"};
      fault.applied = true;
    }
    for (std::size_t i = 0; i < call.keys.size(); ++i) {
      if (call.keys[i] == "b" && call.number > 2) {
        fault.failing_keys.push_back({i, Error{ErrorCode::unavailable, Retry::never, {}, "not b"}});
      }
    }
    return fault;
  });
  EXPECT_FALSE(loop_.run(faulty.put(entries_)));
  EXPECT_EQ(count(), 0u);
  EXPECT_FALSE(loop_.run(faulty.put(std::span(entries_).first(1))));
  EXPECT_EQ(count(), 1u) << "the answer was lost, not the call";
  auto third = loop_.run(faulty.put(entries_));
  ASSERT_TRUE(third);
  ASSERT_EQ(third->failed.size(), 1u);
  EXPECT_EQ(third->failed[0].index, 1u);
  EXPECT_EQ(count(), 2u);
  EXPECT_EQ(faulty.calls(Operation::put), 3u);
  EXPECT_EQ(faulty.calls(Operation::list), 0u);
}

TEST_F(DecoratorTest, AFaultyStoreGivesEmptyPagesThatAreNotTheEnd) {
  ASSERT_TRUE(loop_.run(below()->put(entries_)));
  FaultyStore faulty(below(), [](const FaultyCall& call) {
    Fault fault;
    fault.empty_page = call.operation == Operation::list && call.number % 2 == 1;
    return fault;
  });
  std::size_t listed = 0;
  std::string cursor;
  do {
    auto page = loop_.run(faulty.list({.cursor = cursor, .limit = 2}));
    ASSERT_TRUE(page);
    listed += page->entries.size();
    cursor = page->cursor;
  } while (!cursor.empty());
  EXPECT_EQ(listed, 3u);
  EXPECT_EQ(faulty.calls(Operation::list), 4u);
}

TEST_F(DecoratorTest, AFaultyGetMarksItsKeys) {
  ASSERT_TRUE(loop_.run(below()->put(entries_)));
  FaultyStore faulty(below(), [](const FaultyCall&) {
    Fault fault;
    fault.failing_keys.push_back({2, Error{ErrorCode::timeout, Retry::again, {}, "late"}});
    return fault;
  });
  auto answer = loop_.run(faulty.get(keys_));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->entries[0].value, "1");
  EXPECT_EQ(answer->entries[2].presence, Presence::failed);
  EXPECT_EQ(answer->entries[2].value, "");
  ASSERT_EQ(answer->failed.size(), 1u);
  EXPECT_EQ(faulty.most_at_once(), 1u);
}

TEST(Limits, ThePrefixEndsBehindEverythingThatBeginsWithIt) {
  EXPECT_EQ(end_of_prefix(""), "");
  EXPECT_EQ(end_of_prefix("a"), "b");
  EXPECT_EQ(end_of_prefix("a\xff"), "b");
  EXPECT_EQ(end_of_prefix("a\xff\xff"), "b");
  EXPECT_EQ(end_of_prefix("\xff"), "");
  EXPECT_EQ(end_of_prefix(std::string("\0", 1)), "\x01");
  EXPECT_EQ(end_of_prefix("\x7f"), "\x80");
}

TEST(Limits, AMessageShowsAKeySafely) {
  Capabilities capabilities;
  const std::string key = "\x1b[2J" + std::string(1000, 'x');
  auto checked = check_key(capabilities, key);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().message.find('\x1b'), std::string::npos);
  EXPECT_LT(checked.error().message.size(), 300u);
}

TEST(Limits, OfEqualKeysTheLastOneIsWritten) {
  const std::vector<EntryView> entries = {{"b", "0", {}, 0, {}}, {"a", "1", {}, 0, {}},
                                          {"b", "2", {}, 0, {}}, {"", "3", {}, 0, {}},
                                          {"a", "4", {}, 0, {}}, {"c", "5", {}, 0, {}}};
  std::vector<KeyFailure> failed;
  EXPECT_EQ(writable_in_key_order(Capabilities{}, entries, 0, failed),
            (std::vector<std::uint32_t>{4, 2, 5}));
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].index, 3u);
}

TEST(BlockTest, ViewsStayGoodWhenItIsMoved) {
  Block block;
  for (int i = 0; i < 1000; ++i) {
    block.append({fmt::format("key {}", i), std::string(100, 'v'), "{}", i, Presence::present});
  }
  block.append({"large", std::string(3'000'000, 'l'), {}, 0, Presence::present});
  const Block moved = std::move(block);
  ASSERT_EQ(moved.size(), 1001u);
  EXPECT_EQ(moved[0].key, "key 0");
  EXPECT_EQ(moved[999].value, std::string(100, 'v'));
  EXPECT_EQ(moved[1000].value.size(), 3'000'000u);
  EXPECT_GE(moved.bytes(), 3'000'000u);
}

TEST(BlockTest, IsUsedAgainAfterClearAndAfterAMove) {
  Block block;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 500; ++i) block.append({fmt::format("{}:{}", round, i), "v", {}, 0, {}});
    EXPECT_EQ(block.size(), 500u);
    EXPECT_EQ(block[499].key, fmt::format("{}:499", round));
    block.clear();
    EXPECT_TRUE(block.empty());
    EXPECT_EQ(block.bytes(), 0u);
  }
  Block other = std::move(block);
  block = Block();
  block.append({"again", "v", {}, 0, {}});
  EXPECT_EQ(block[0].key, "again");
}

}  // namespace
}  // namespace sluice::store
