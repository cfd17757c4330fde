#include "store/memory/memory.h"

#include <gtest/gtest.h>

#include "store/conformance.h"

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
          .property_runs = 100};
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

INSTANTIATE_TEST_SUITE_P(Memory, Conformance,
                         testing::Values(subject("Wide", {}), subject("Narrow", narrow())),
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

}  // namespace
}  // namespace sluice::store
