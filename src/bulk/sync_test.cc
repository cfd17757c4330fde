#include "bulk/sync.h"

#include <rapidcheck.h>

#include <algorithm>
#include <random>

#include "bulk/job_test.h"
#include "bulk/merge_source.h"
#include "store/limits.h"

namespace sluice::bulk {
namespace {

using store::Fault;
using store::FaultyCall;
using store::Operation;

class SyncTest : public JobFixture {
 public:
  // Makes `target` equal to `backend`.
  Report run(const SyncOptions& options, store::FaultyStore::Hook from_hook = {},
             store::FaultyStore::Hook to_hook = {}) {
    Job with = job();
    faulty(std::move(from_hook));
    to = std::make_unique<store::FaultyStore>(open(*target), std::move(to_hook));
    return note(loop.run(sync(with, *faulty_store, *to, options)));
  }
  Report note(const SyncReport& sync) {
    found = sync.found;
    deleted = sync.deleted;
    return sync.report;
  }
  static SyncOptions deleting() {
    SyncOptions options;
    options.erase = true;
    return options;
  }
  void put_one(store::Backend& into, std::string_view key, std::string_view value,
               std::string_view metadata = {}, std::int64_t expiration = 0) {
    store::Block block;
    block.append({.key = key,
                  .value = value,
                  .metadata = metadata,
                  .expiration = expiration,
                  .presence = store::Presence::present});
    put(into, block);
  }
  // A target with 300 of the source's 400 entries, 10 of them otherwise, and 25 that the source
  // has not.
  void fill_both() {
    fill(400);
    const Contents all = contents(*backend);
    std::size_t n = 0;
    for (const auto& [key, entry] : all) {
      if (++n > 300) break;
      put_one(*target, key, entry.value, n % 30 == 0 ? R"({"other":1})" : entry.metadata);
    }
    for (int i = 0; i < 25; ++i) put_one(*target, fmt::format("key:{:04}x", i * 9), "extra");
  }
  static constexpr std::int64_t kFar = 4'000'000'000;

  std::unique_ptr<store::Backend> target = store::make_memory_backend(narrow());
  std::unique_ptr<store::FaultyStore> to;
  MergeFindings found;
  std::optional<std::uint64_t> deleted;
};

TEST_F(SyncTest, AddsAndChangesAndKeepsWhatIsExtra) {
  fill_both();
  const Contents before = contents(*target);
  const Report report = run({});
  EXPECT_FALSE(report.ended_early);
  EXPECT_EQ(found, (MergeFindings{.missing = 100, .different = 10, .equal = 290, .extra = 25}));
  EXPECT_EQ(report.counts, (Counts{.listed = 725, .selected = 110, .done = 110}));
  Contents expected = before;
  for (const auto& [key, entry] : contents(*backend)) expected[key] = entry;
  EXPECT_EQ(contents(*target), expected);
  EXPECT_EQ(to->calls(Operation::erase), 0u);
  EXPECT_EQ(to->calls(Operation::put), 4u) << "110 entries, 30 a call";
  EXPECT_EQ(faulty_store->calls(Operation::get), 16u) << "only of what is written, 7 a call";

  const Report again = run({});
  EXPECT_EQ(found, (MergeFindings{.equal = 400, .extra = 25}));
  EXPECT_EQ(again.counts.selected, 0u);
  EXPECT_EQ(to->calls(Operation::put), 0u);
}

TEST_F(SyncTest, WithDeleteBothAreEqual) {
  fill_both();
  const Report report = run(deleting());
  EXPECT_FALSE(report.ended_early);
  EXPECT_EQ(found.extra, 25u);
  EXPECT_EQ(deleted, 25u);
  EXPECT_EQ(report.counts.done, 135u);
  EXPECT_TRUE(report.counts.add_up());
  EXPECT_EQ(contents(*target), contents(*backend));
}

TEST_F(SyncTest, AListingThatFailsDeletesNothing) {
  for (const bool from_fails : {true, false}) {
    backend = store::make_memory_backend(narrow());
    target = store::make_memory_backend(narrow());
    fill_both();
    const auto last_page_fails = [](const FaultyCall& call) {
      Fault fault;
      if (call.operation == Operation::list && call.number >= 12) {
        fault.fails = error(ErrorCode::unavailable, Retry::never);
      }
      return fault;
    };
    const Report report =
        from_fails ? run(deleting(), last_page_fails) : run(deleting(), {}, last_page_fails);
    ASSERT_TRUE(report.ended_early);
    EXPECT_EQ(report.ended_early->code, ErrorCode::unavailable);
    EXPECT_EQ(to->calls(Operation::erase), 0u);
  }
}

TEST_F(SyncTest, AWriteThatFailsDeletesNothing) {
  fill_both();
  const Report report = run(deleting(), {}, [](const FaultyCall& call) {
    Fault fault;
    if (call.operation == Operation::put && call.number == 2) {
      fault.failing_keys.push_back({0, error(ErrorCode::invalid_argument, Retry::never)});
    }
    return fault;
  });
  EXPECT_FALSE(report.ended_early);
  EXPECT_EQ(report.counts.failed, 1u);
  EXPECT_EQ(exit_code(report), ExitCode::some_failed);
  EXPECT_EQ(to->calls(Operation::erase), 0u);
  EXPECT_EQ(found.extra, 25u) << "they are told of";
  EXPECT_FALSE(deleted);
}

TEST_F(SyncTest, AStoreThatListsOutOfOrderIsNotCompared) {
  fill_both();
  class Shuffling : public store::FaultyStore {
   public:
    using FaultyStore::FaultyStore;
    io::Task<Result<store::Page>> list(store::ListRequest request) override {
      auto page = co_await FaultyStore::list(request);
      if (page && page->entries.size() > 1) std::swap(page->entries[0], page->entries[1]);
      co_return page;
    }
  };
  Job with = job();
  faulty();
  Shuffling shuffling(open(*target), {});
  const Report report = note(loop.run(sync(with, *faulty_store, shuffling, deleting())));
  ASSERT_TRUE(report.ended_early);
  EXPECT_EQ(report.ended_early->code, ErrorCode::protocol);
  EXPECT_EQ(shuffling.calls(Operation::erase), 0u);
}

TEST_F(SyncTest, WhatIsTheSame) {
  put_one(*backend, "a", "1", R"({"x":1,"y":[2,"é"]})");
  put_one(*target, "a", "1", R"({ "y" : [2, "\u00e9"], "x" : 1 })");  // the same JSON
  put_one(*backend, "b", "1", R"({"x":1})");
  put_one(*target, "b", "1", R"({"x":2})");
  put_one(*backend, "c", "1", {}, kFar);
  put_one(*target, "c", "1", {}, kFar);
  put_one(*backend, "d", "1", {}, kFar);
  put_one(*target, "d", "1", {}, kFar + 1);
  put_one(*backend, "e", "1", "null");
  put_one(*target, "e", "1");
  put_one(*backend, "f", "1");
  put_one(*target, "f", "2");  // the value alone: seen only with checksum
  put_one(*backend, "g", "1", R"({"n":12345678901234567890123})");
  put_one(*target, "g", "1", R"({"n":12345678901234567890124})");
  run({});
  EXPECT_EQ(found, (MergeFindings{.missing = 0, .different = 4, .equal = 3}));
  EXPECT_EQ(contents(*target).at("f").value, "2");
  SyncOptions options;
  options.checksum = true;
  run(options);
  EXPECT_EQ(found, (MergeFindings{.missing = 0, .different = 1, .equal = 6}));
  EXPECT_EQ(contents(*target).at("f").value, "1");
}

// The values come with the listing where both stores can do that, else by get.
TEST_F(SyncTest, ChecksumReadsTheValuesOnBothSides) {
  for (const bool listed : {false, true}) {
    store::MemoryOptions options = narrow();
    options.capabilities.lists_values = listed;
    backend = store::make_memory_backend(options);
    target = store::make_memory_backend(options);
    fill(200);
    std::size_t n = 0;
    for (const auto& [key, entry] : contents(*backend)) {
      put_one(*target, key, ++n % 40 == 0 ? "another" : entry.value, entry.metadata);
    }
    SyncOptions with_values;
    with_values.checksum = true;
    const Report report = run(with_values);
    EXPECT_FALSE(report.ended_early);
    EXPECT_EQ(found, (MergeFindings{.missing = 0, .different = 5, .equal = 195}));
    EXPECT_EQ(contents(*target), contents(*backend));
    EXPECT_EQ(to->calls(Operation::get) > 0, !listed);
  }
}

// A tag that an entry has lost in the source does not make the target's entry extra.
TEST_F(SyncTest, TheSelectionIsAskedOfTheSource) {
  put_one(*backend, "both", "new", R"({"tags":["b"]})");
  put_one(*target, "both", "old", R"({"tags":["a"]})");
  put_one(*target, "gone", "old", R"({"tags":["a"]})");
  put_one(*target, "other", "old", R"({"tags":["c"]})");
  SyncOptions options = deleting();
  options.selection.tag_field = "tags";
  options.selection.tag_value = "a";
  run(options);
  EXPECT_EQ(found, (MergeFindings{.extra = 1}));
  const Contents after = contents(*target);
  EXPECT_EQ(after.size(), 2u);
  EXPECT_EQ(after.at("both").value, "old");
  EXPECT_TRUE(after.contains("other"));
}

TEST_F(SyncTest, AFileOfKeysAndAPrefixNarrowBothSides) {
  fill_both();
  const std::string path = folder + "/keys";
  std::ofstream(path) << "key:0310\nkey:0311\nkey:0000x\nkey:0009x\n";
  SyncOptions options = deleting();
  options.selection.keys_file = path;
  options.selection.prefix = "key:000";
  EXPECT_FALSE(run(options).ended_early);
  EXPECT_EQ(found.extra, 2u);
  EXPECT_EQ(found.missing, 0u) << "not under the prefix";
  options.selection.prefix.clear();
  run(options);
  EXPECT_EQ(found.missing, 2u);
  EXPECT_EQ(found.extra, 0u);
}

TEST_F(SyncTest, ALimitEndsTheMergeAndDoesNotGoWithDelete) {
  fill_both();
  SyncOptions options;
  options.selection.limit = 17;
  const Report report = run(options);
  EXPECT_EQ(report.counts.done, 17u);
  EXPECT_EQ(found.missing + found.different, 17u);
  options.erase = true;
  const Report refused = run(options);
  ASSERT_TRUE(refused.ended_early);
  EXPECT_EQ(refused.ended_early->code, ErrorCode::invalid_argument);
  EXPECT_EQ(faulty_store->calls(Operation::list), 0u);
}

TEST_F(SyncTest, PrefixesAsPartitionsDoNotGoWithDelete) {
  fill_both();
  settings.partitions = *parse_partitions("key:00,key:01,key:02,key:03");
  const Report refused = run(deleting());
  ASSERT_TRUE(refused.ended_early);
  EXPECT_EQ(refused.ended_early->code, ErrorCode::invalid_argument);
  EXPECT_EQ(faulty_store->calls(Operation::list) + to->calls(Operation::list), 0u);
  const Report report = run({});
  EXPECT_EQ(report.counts.done, 110u);
  EXPECT_GE(faulty_store->most_at_once(), 4u) << "side by side";
}

TEST_F(SyncTest, PiecesOfSeekableStoresAreTheWhole) {
  for (const std::size_t pieces : {0, 1, 3, 8}) {
    store::MemoryOptions options = narrow();
    options.capabilities.seekable = true;
    backend = store::make_memory_backend(options);
    target = store::make_memory_backend(options);
    fill_both();
    settings.partitions.count = pieces;
    EXPECT_FALSE(run(deleting()).ended_early);
    EXPECT_EQ(found.missing, 100u);
    EXPECT_EQ(contents(*target), contents(*backend)) << pieces;
  }
}

TEST_F(SyncTest, AGuardStandsBeforeTheFirstDeletion) {
  fill_both();
  SyncOptions options = deleting();
  options.guard.max_delete = 24;
  Report report = run(options);
  ASSERT_TRUE(report.ended_early);
  EXPECT_EQ(to->calls(Operation::erase), 0u);
  EXPECT_EQ(report.counts.done, 110u) << "what was missing is there";

  std::uint64_t asked = 0;
  options = deleting();
  options.guard.confirm = [&](std::uint64_t keys) -> io::Task<Result<>> {
    asked = keys;
    co_return fail(ErrorCode::conflict, "no");
  };
  report = run(options);
  EXPECT_EQ(asked, 25u);
  EXPECT_EQ(to->calls(Operation::erase), 0u);
  options.guard.confirm = [](std::uint64_t) -> io::Task<Result<>> { co_return Result<>(); };
  options.guard.max_delete = 25;
  EXPECT_FALSE(run(options).ended_early);
  EXPECT_EQ(contents(*target), contents(*backend));
}

// A mistyped source must not empty the target.
TEST_F(SyncTest, AnEmptySourceDeletesNothingUnlessACountIsGiven) {
  for (int i = 0; i < 5; ++i) put_one(*target, fmt::format("key:{}", i), "v");
  const Report refused = run(deleting());
  ASSERT_TRUE(refused.ended_early);
  EXPECT_EQ(refused.ended_early->code, ErrorCode::conflict);
  EXPECT_EQ(to->calls(Operation::erase), 0u);
  SyncOptions sure = deleting();
  sure.guard.max_delete = 5;
  EXPECT_FALSE(run(sure).ended_early);
  EXPECT_TRUE(contents(*target).empty());
}

TEST_F(SyncTest, WhatExpiresSoonerThanTheTargetTakesItIsPassedOver) {
  store::MemoryOptions options = narrow();
  options.capabilities.least_ttl = 60;
  target = store::make_memory_backend(options);
  put_one(*backend, "soon", "v", {}, store::unix_now() + 30);
  put_one(*backend, "later", "v", {}, store::unix_now() + 3000);
  put_one(*target, "extra", "v");
  const Report report = run(deleting());
  EXPECT_FALSE(report.ended_early);
  EXPECT_EQ(report.counts.failed, 0u);
  EXPECT_EQ(found.expiring, 1u);
  const Contents after = contents(*target);
  EXPECT_EQ(after.size(), 1u) << "it does not stand in the way of the deletion";
  EXPECT_TRUE(after.contains("later"));
}

// Between a stop and the resuming, days may pass.
TEST_F(SyncTest, AResumedSyncDoesNotDeleteWhatTheSourceHasByNow) {
  put_one(*backend, "key:0000", "v");
  for (int i = 0; i < 200; ++i) put_one(*target, fmt::format("key:{:04}", i), "v");
  const std::string id = begin_job();
  settings.concurrency = 1;
  const Report stopped = run(deleting(), {}, [&](const FaultyCall& call) {
    if (call.operation == Operation::erase && call.number == 2) {
      stop->request({ErrorCode::interrupted, Retry::never, std::nullopt, "interrupted"});
    }
    return Fault{};
  });
  ASSERT_TRUE(stopped.ended_early && stopped.resumable);
  ASSERT_TRUE(contents(*target).contains("key:0199"));
  put_one(*backend, "key:0199", "live");
  put_one(*target, "key:0199", "live");
  resume_job(id);
  EXPECT_FALSE(run(deleting()).ended_early);
  EXPECT_EQ(contents(*target), contents(*backend));
  EXPECT_EQ(contents(*target).size(), 2u);
}

TEST_F(SyncTest, AListingWithoutOrderIsCollectedFirst) {
  for (const bool checksum : {false, true}) {
    backend = store::make_memory_backend(narrow());
    target = store::make_memory_backend(narrow());
    fill_both();
    store::UnorderedStore from(open(*backend));
    store::UnorderedStore into(open(*target));
    SyncOptions options = deleting();
    options.checksum = checksum;
    Job with = job();
    const Report report = note(loop.run(sync(with, from, into, options)));
    EXPECT_FALSE(report.ended_early);
    EXPECT_EQ(found.missing, 100u);
    EXPECT_EQ(found.extra, 25u);
    EXPECT_EQ(contents(*target), contents(*backend));
  }
}

// Whatever is in both, and wherever it is stopped: resumed, it ends with both equal, and has found
// what an uninterrupted run finds.
TEST_F(SyncTest, StoppedAnywhereAndResumedItEndsWithBothEqual) {
  const bool held = rc::check([&] {
    store::MemoryOptions options = narrow();
    options.capabilities.seekable = *rc::gen::arbitrary<bool>();
    options.capabilities.list_page = 10;
    backend = store::make_memory_backend(options);
    target = store::make_memory_backend(options);
    const auto any_key =
        rc::gen::map(rc::gen::inRange(0, 150), [](int n) { return fmt::format("key:{:04}", n); });
    const auto any_entries =
        rc::gen::container<std::map<std::string, int>>(any_key, rc::gen::inRange(0, 3));
    const auto source_entries = *any_entries;
    const auto target_entries = *any_entries;
    MergeFindings expected;
    for (const auto& [key, n] : source_entries) {
      put_one(*backend, key, fmt::format("value {}", n), fmt::format(R"({{"n":{}}})", n));
      const auto other = target_entries.find(key);
      ++(other == target_entries.end() ? expected.missing
         : other->second == n          ? expected.equal
                                       : expected.different);
    }
    for (const auto& [key, n] : target_entries) {
      put_one(*target, key, fmt::format("value {}", n), fmt::format(R"({{"n":{}}})", n));
      if (!source_entries.contains(key)) ++expected.extra;
    }
    settings.concurrency = *rc::gen::inRange<std::size_t>(1, 4);
    settings.partitions.count =
        options.capabilities.seekable ? *rc::gen::inRange<std::size_t>(1, 4) : 0;
    const std::string id = begin_job();
    for (int tries = 0;; ++tries) {
      RC_ASSERT(tries < 200);
      // The stop comes after some calls of either side; later ones are made as if nothing was.
      int calls = *rc::gen::inRange(1, 30) + tries / 3;
      const auto counting = [&](const FaultyCall&) {
        if (--calls == 0) {
          stop->request({ErrorCode::interrupted, Retry::never, std::nullopt, "interrupted"});
        }
        return Fault{};
      };
      SyncOptions sure = deleting();
      sure.guard.max_delete = 1000;
      const Report report = run(sure, counting, counting);
      if (!report.ended_early) {
        RC_ASSERT(report.counts.add_up());
        break;
      }
      RC_ASSERT(report.resumable);
      resume_job(id);
    }
    RC_ASSERT(contents(*target) == contents(*backend));
    // A resumed run compares anew: what was written before is equal by now, what was deleted is
    // gone.
    RC_ASSERT(found.extra <= expected.extra);
    RC_ASSERT(found.equal >= expected.equal);
    RC_ASSERT(found.missing + found.different + found.equal == source_entries.size());
    restart();
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace sluice::bulk
