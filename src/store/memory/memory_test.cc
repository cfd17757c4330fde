#include "store/memory/memory.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "store/conformance.h"
#include "store/memory/sharded_table.h"

namespace sluice::store {
namespace {

using conformance::Conformance;

class MemoryFixture : public conformance::Fixture {
 public:
  explicit MemoryFixture(MemoryOptions options)
      : backend_(make_memory_backend(std::move(options))) {}
  Backend& backend() override { return *backend_; }

 private:
  std::unique_ptr<Backend> backend_;
};

conformance::Subject subject(std::string name, MemoryOptions options) {
  return {.name = std::move(name),
          .open = [options](io::Loop&) { return std::make_unique<MemoryFixture>(options); },
          .property_runs = 100,
          .any_loop = true,
          .loop_steps = 1500};
}

// As narrow as a service may be.
MemoryOptions narrow() {
  MemoryOptions options;
  options.capabilities = {.list_page = 13,
                          .get_keys = 7,
                          .put_entries = 9,
                          .put_bytes = 4 << 20,
                          .erase_keys = 5,
                          .key_bytes = 512,
                          .value_bytes = 25 << 20,
                          .metadata_bytes = 1024,
                          .least_ttl = 60,
                          .keys_are_utf8 = true,
                          .ordered = true,
                          .seekable = false,
                          .lists_values = false,
                          .exact_get = true,
                          .remote = true};
  return options;
}

// As the registry opens it.
MemoryOptions without_suspending() {
  MemoryOptions options;
  options.suspends = false;
  return options;
}

INSTANTIATE_TEST_SUITE_P(Memory, Conformance,
                         testing::Values(subject("Wide", {}), subject("Narrow", narrow()),
                                         subject("WithoutSuspending", without_suspending())),
                         [](const auto& tested) { return tested.param.name; });

TEST(Memory, TheDefaultNamespaceExistsAndStays) {
  io::Loop loop;
  auto backend = make_memory_backend();
  auto found = loop.run(backend->find_namespace("default"));
  ASSERT_TRUE(found);
  EXPECT_FALSE(loop.run(backend->delete_namespace(*found)));
  EXPECT_FALSE(loop.run(backend->rename_namespace(*found, "other")));
  EXPECT_TRUE(loop.run(backend->find_namespace("default")));
}

TEST(Memory, AnEntryExpiresWhenItsSecondComes) {
  io::Loop loop;
  std::int64_t now = 1'000'000;
  MemoryOptions options;
  options.now = [&now] { return now; };
  auto backend = make_memory_backend(options);
  auto store = backend->open(*loop.run(backend->find_namespace("default")));
  const std::vector<EntryView> entries = {{"k", "v", {}, 1'000'010, Presence::present}};
  ASSERT_TRUE(loop.run(store->put(entries)));
  now = 1'000'009;
  EXPECT_EQ(loop.run(store->list({}))->entries.size(), 1u);
  now = 1'000'010;
  EXPECT_EQ(loop.run(store->list({}))->entries.size(), 0u);
}

TEST(Memory, TheSameCallsGiveTheSameAnswers) {
  const auto once = [] {
    io::Loop loop;
    auto backend = make_memory_backend({.capabilities = {.list_page = 2, .remote = false}});
    std::string trace = loop.run(backend->create_namespace("a"))->id;
    auto store = backend->open(*loop.run(backend->find_namespace("a")));
    const std::vector<EntryView> entries = {{"x", "1", {}, 0, Presence::present},
                                            {"y", "2", {}, 0, Presence::present},
                                            {"z", "3", {}, 0, Presence::present}};
    EXPECT_TRUE(loop.run(store->put(entries)));
    trace += loop.run(store->list({}))->cursor;
    return trace;
  };
  EXPECT_EQ(once(), once());
}

// Freeing what a namespace held takes its time, and the loop goes on meanwhile.
TEST(Memory, DeletingALargeNamespaceDoesNotHoldTheLoop) {
  io::Loop loop;
  auto backend = make_memory_backend(without_suspending());
  const auto made = loop.run(backend->create_namespace("large"));
  ASSERT_TRUE(made);
  auto store = backend->open(*made);
  const auto texts = conformance::numbered(20'000);
  std::vector<EntryView> entries;
  for (const auto& text : texts) entries.push_back(conformance::view(text));
  ASSERT_TRUE(loop.run(store->put(entries)));
  const auto turns_meanwhile = [&]() -> io::Task<int> {
    const io::Executor executor = co_await boost::asio::this_coro::executor;
    auto deleting = io::start(executor, backend->delete_namespace(*made));
    int turns = 0;
    for (; !deleting.ready(); ++turns) co_await io::yield();
    const auto deleted = co_await deleting.get();
    EXPECT_TRUE(deleted);
    co_return turns;
  };
  EXPECT_GE(loop.run(turns_meanwhile()), 10);
  EXPECT_FALSE(loop.run(store->list({})));
}

TEST(Memory, AnAnswerOfMoreThanMemoryHoldsAsksForLess) {
  io::Loop loop;
  auto backend = make_memory_backend();
  auto store = backend->open(*loop.run(backend->find_namespace("default")));
  const std::string value(12'000'000, 'x');
  for (const char* key : {"a", "b", "c"}) {
    const std::vector<EntryView> entries = {{key, value, {}, 0, Presence::present}};
    ASSERT_TRUE(loop.run(store->put(entries)));
  }
  const std::vector<std::string_view> keys = {"a", "b", "c"};
  auto answer = loop.run(store->get(keys));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::too_large);
  EXPECT_EQ(answer.error().retry, Retry::smaller);
  auto page = loop.run(store->list({.values = true}));
  ASSERT_TRUE(page);
  EXPECT_EQ(page->entries.size(), 1u);
  EXPECT_EQ(page->cursor, ">a");
}

TEST(ShardedTable, WritesRemoveWhatHasExpired) {
  ShardedTable table;
  for (int i = 0; i < 2000; ++i) {
    const std::string key = fmt::format("old {}", i);
    ASSERT_TRUE(table.put({key, "v", {}, 100, Presence::present}, 50));
  }
  EXPECT_EQ(table.size(), 2000u);
  for (int i = 0; i < 2000; ++i) {
    const std::string key = fmt::format("new {}", i);
    ASSERT_TRUE(table.put({key, "v", {}, i % 2 == 0 ? 1000 : 0, Presence::present}, 100));
  }
  EXPECT_EQ(table.size(), 2000u) << "expired entries are still there";
  // Entries that are replaced or erased are no longer waited for.
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(table.erase(fmt::format("new {}", i), 500));
  EXPECT_EQ(table.size(), 0u);
}

TEST(ShardedTable, AListingGetsOverAStretchOfExpiredEntries) {
  ShardedTable table;
  for (int i = 0; i < 20'000; ++i) {
    const std::string key = fmt::format("k{:05}", i);
    ASSERT_TRUE(table.put({key, "v", {}, i % 10'000 == 0 ? 0 : 100, Presence::present}, 50));
  }
  Block page;
  EXPECT_FALSE(table.list({}, 10, false, 100, page));
  ASSERT_EQ(page.size(), 2u);
  EXPECT_EQ(page[0].key, "k00000");
  EXPECT_EQ(page[1].key, "k10000");
}

TEST(ShardedTable, AClosedTableTakesNothingAndIsEmptiedBitByBit) {
  ShardedTable table;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(table.put({fmt::format("{}", i), "v", {}, 0, Presence::present}, 50));
  }
  table.close();
  EXPECT_FALSE(table.put({"more", "v", {}, 0, Presence::present}, 50));
  EXPECT_FALSE(table.erase("1", 50));
  EXPECT_TRUE(table.clear_some(60));
  EXPECT_EQ(table.size(), 40u);
  EXPECT_FALSE(table.clear_some(60));
  EXPECT_EQ(table.size(), 0u);
}

}  // namespace
}  // namespace sluice::store
