// Sources: which entries they give, in what order, and from where they go on.
#include "bulk/source.h"

#include <rapidcheck.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "bulk/job_test.h"
#include "store/sqlite/sqlite.h"

namespace sluice::bulk {
namespace {

using store::Fault;
using store::FaultyCall;
using store::Operation;

class SourceTest : public JobFixture {
 public:
  // What the source gives until it ends or fails, with the position behind each page.
  struct Given {
    std::vector<std::string> keys;
    std::vector<std::string> metadata;
    std::vector<Position> positions;
    std::uint64_t listed = 0;
    std::optional<Error> error;
  };
  // Reads at most `pages` pages. `meanwhile` runs once the first page has been asked for.
  Given read(const Selection& selection, const Position& start = {}, std::size_t pages = 1000,
             std::function<void()> meanwhile = {}) {
    const auto once = [&]() -> io::Task<> {
      if (meanwhile) std::exchange(meanwhile, {})();
      co_return;
    };
    return read_from(*faulty_store, selection, once, start, pages);
  }
  // The same from another store. `meanwhile` runs each time a page has been asked for.
  Given read_from(store::Store& store, const Selection& selection,
                  const std::function<io::Task<>()>& meanwhile = {}, const Position& start = {},
                  std::size_t pages = 1000) {
    Given given;
    Job with = job();
    const auto body = [&]() -> io::Task<> {
      auto source = open_source(with, store,
                                {.selection = selection,
                                 .metadata = metadata,
                                 .asks_for_few = asks_for_few,
                                 .values = false,
                                 .keeps_order = keeps_order,
                                 .start = start,
                                 .page_keys = page_keys,
                                 .selected_before = 0});
      if (!source) {
        given.error = source.error();
        co_return;
      }
      while (given.positions.size() < pages) {
        io::Started<Result<SourcePage>> next(loop.executor(), (*source)->next());
        co_await io::yield();
        if (meanwhile) co_await meanwhile();
        auto page = co_await next.get();
        if (!page) {
          given.error = page.error();
          break;
        }
        for (const store::EntryView& entry : page->entries) {
          given.keys.emplace_back(entry.key);
          given.metadata.emplace_back(entry.metadata);
        }
        given.positions.push_back(page->after);
        given.listed += page->listed;
        if (page->after.end) break;
      }
      co_await (*source)->close();
    };
    loop.run(body());
    return given;
  }
  bool keeps_order = false;
  std::size_t page_keys = 0;
  bool metadata = false;
  bool asks_for_few = false;
  [[nodiscard]] Selection old_ones_of(std::string keys_file) const {
    Selection selection;
    selection.tag_field = "tags";
    selection.tag_value = "old";
    selection.keys_file = std::move(keys_file);
    return selection;
  }
};

TEST_F(SourceTest, KeysFileNarrowsAListingDown) {
  fill(100);
  faulty();
  const std::string path = folder + "/keys";
  std::ofstream(path) << "key:0099\nkey:0003\nkey:0004\nnone\nkey:0033\n";
  const Given given = read(old_ones_of(path));
  EXPECT_FALSE(given.error);
  EXPECT_EQ(given.keys, (std::vector<std::string>{"key:0003", "key:0033", "key:0099"}));
  EXPECT_EQ(faulty_store->calls(Operation::list), 5u);

  // From the third page on: the file is read from its beginning nevertheless.
  const Given rest = read(old_ones_of(path), given.positions[1]);
  EXPECT_EQ(rest.keys, (std::vector<std::string>{"key:0099"}));
  EXPECT_TRUE(read(old_ones_of(path), given.positions.back()).keys.empty());
}

TEST_F(SourceTest, AKeyThatAFileNamesTwiceIsOneKey) {
  fill(10);
  faulty();
  const std::string path = folder + "/keys";
  std::ofstream(path) << "b\na\n\nb\n{\"key\":\"a\"}\nc\nb\nskip\nskip\nd";
  Selection selection;
  selection.keys_file = path;
  selection.pattern = "^.$";
  page_keys = 1;
  const Given whole = read(selection);
  EXPECT_FALSE(whole.error);
  EXPECT_EQ(whole.keys, (std::vector<std::string>{"b", "a", "c", "d"}));
  // Lines, that is, that are keys.
  EXPECT_EQ(whole.listed, 9u);
  // Wherever it goes on, in pages of any length: as it would have gone on without an interruption.
  for (std::size_t done = 0; done < whole.positions.size(); ++done) {
    for (const std::size_t keys : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
      page_keys = keys;
      const Given rest = read(selection, whole.positions[done]);
      EXPECT_FALSE(rest.error);
      EXPECT_EQ(rest.keys,
                (std::vector<std::string>(
                    whole.keys.begin() + static_cast<std::ptrdiff_t>(done) + 1, whole.keys.end())));
    }
  }
  // A limit is of different keys.
  selection.limit = 3;
  EXPECT_EQ(read(selection).keys, (std::vector<std::string>{"b", "a", "c"}));
}

TEST_F(SourceTest, OfAFileOfKeysTheFirstOnesAreRemembered) {
  fill(1);
  faulty();
  const std::string path = folder + "/keys";
  {
    std::ofstream file(path);
    for (int round = 0; round < 2; ++round) {
      for (std::size_t i = 0; i < kRememberedKeys + 2; ++i) file << i << '\n';
    }
  }
  Selection selection;
  selection.keys_file = path;
  page_keys = 10'000;
  const Given given = read(selection, {}, 100);
  EXPECT_FALSE(given.error);
  ASSERT_EQ(given.keys.size(), kRememberedKeys + 4);
  EXPECT_EQ(given.keys.back(), std::to_string(kRememberedKeys + 1));
  EXPECT_EQ(given.keys[kRememberedKeys + 2], std::to_string(kRememberedKeys));
  // From behind its middle on.
  ASSERT_GT(given.positions.size(), 6u);
  const Given rest = read(selection, given.positions[6], 100);
  EXPECT_EQ(rest.keys, (std::vector<std::string>(given.keys.begin() + 70'000, given.keys.end())));
}

// What a listing that is narrowed down gives, without the listing.
TEST_F(SourceTest, AFewKeysAreAskedForInTheOrderOfAListing) {
  fill(100);
  keeps_order = metadata = true;
  const std::string path = folder + "/keys";
  {
    std::ofstream file(path);
    for (int i = 99; i >= 0; i -= 3) file << fmt::format("key:{:04}\n", i);
    file << "key:0003\nnone\nkey:0004\n" << std::string(narrow().capabilities.key_bytes + 1, 'k');
  }
  Selection named;
  named.keys_file = path;
  std::vector<Selection> selections(6, named);
  selections[1].limit = 10;
  selections[2].prefix = "key:005";
  selections[3].pattern = "[05]$";
  selections[4] = old_ones_of(path);
  selections[5] = old_ones_of(path);
  selections[5].limit = 12;
  for (const Selection& selection : selections) {
    asks_for_few = false;
    faulty();
    const Given listed = read(selection);
    ASSERT_FALSE(listed.error);
    ASSERT_GT(listed.keys.size(), 2u);
    EXPECT_GT(faulty_store->calls(Operation::list), 0u);
    asks_for_few = true;
    faulty();
    const Given asked = read(selection);
    ASSERT_FALSE(asked.error) << asked.error->message;
    EXPECT_EQ(asked.keys, listed.keys);
    EXPECT_EQ(asked.metadata, listed.metadata);
    EXPECT_EQ(faulty_store->calls(Operation::list), 0u);
    EXPECT_LE(faulty_store->calls(Operation::get), 6u) << "37 keys, 7 a call";
  }
  // Only of these prefixes: a listing would not give the others.
  settings.partitions.prefixes = {"key:005"};
  faulty();
  EXPECT_EQ(read(named).keys, (std::vector<std::string>{"key:0051", "key:0054", "key:0057"}));
  settings.partitions = {};
  // More keys than are asked for one by one.
  std::ofstream(path, std::ios::app) << '\n' << std::string(64 * 1024, 'k');
  faulty();
  EXPECT_FALSE(read(named).error);
  EXPECT_EQ(faulty_store->calls(Operation::get), 0u);
}

TEST_F(SourceTest, AKeyThatCannotBeAskedForEndsTheRun) {
  fill(20);
  keeps_order = metadata = asks_for_few = true;
  const std::string path = folder + "/keys";
  std::ofstream(path) << "key:0003\nkey:0004\n";
  Selection named;
  named.keys_file = path;
  faulty([](const FaultyCall&) {
    return Fault{.failing_keys = {{1, error(ErrorCode::unavailable, Retry::again)}}};
  });
  EXPECT_EQ(read(named).error.value().code, ErrorCode::unavailable) << "it may well be there";
}

TEST_F(SourceTest, KeysFileThatCannotBeReadSendsNothing) {
  fill(100);
  faulty();
  const std::string path = folder + "/keys";
  EXPECT_EQ(read(old_ones_of(path)).error.value().code, ErrorCode::not_found);
  // A gzip stream that is cut: found out when it is read, not when it is opened.
  std::ofstream(path, std::ios::binary) << "\x1f\x8b\x08 cut";
  const Given cut = read(old_ones_of(path));
  EXPECT_EQ(cut.error.value().code, ErrorCode::invalid_argument);
  EXPECT_NE(cut.error->message.find(path), std::string::npos) << cut.error->message;
  EXPECT_EQ(faulty_store->calls(Operation::list), 0u);
}

// Were the file read on the loop's thread, this would wait for ever.
TEST_F(SourceTest, AStopEndsTheWaitForAKeysFile) {
  fill(100);
  faulty();
  const std::string path = folder + "/pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const Given given = read(old_ones_of(path), {}, 1000, [&] {
    stop->request({ErrorCode::deadline, Retry::never, std::nullopt, "time is up"});
  });
  ASSERT_TRUE(given.error);
  EXPECT_EQ(given.error->code, ErrorCode::deadline);
  EXPECT_EQ(given.error->message, "time is up");
  // One that was requested before.
  Selection keys_only;
  keys_only.keys_file = path;
  EXPECT_EQ(read(keys_only).error.value().code, ErrorCode::deadline);
  EXPECT_EQ(faulty_store->calls(Operation::list), 0u);
}

TEST_F(SourceTest, ARefusedCursorTwiceGivesNoKeyAgain) {
  fill(100);
  Selection all;
  faulty();
  const Given first = read(all, {}, 3);
  ASSERT_EQ(first.keys.size(), 60u);
  EXPECT_EQ(first.positions.back().listing.last_key, "key:0059");

  // Each process asks first with the cursor of the one before.
  const auto refuse_first = [](const FaultyCall& call) {
    Fault fault;
    if (call.number == 1) fault.fails = error(ErrorCode::invalid_argument, Retry::never);
    return fault;
  };
  faulty(refuse_first);
  // Ends among the pages that are passed over.
  const Given second = read(all, first.positions.back(), 2);
  EXPECT_TRUE(second.keys.empty());
  EXPECT_EQ(second.positions.back().listing.last_key, "key:0059") << "not the last key of the page";

  faulty(refuse_first);
  const Given third = read(all, second.positions.back());
  EXPECT_FALSE(third.error);
  EXPECT_EQ(third.keys.size(), 40u);
  EXPECT_EQ(third.keys.front(), "key:0060");
}

// --- partitions ---------------------------------------------------------------------------------

TEST(Partitions, AreWrittenAsANumberOrAsPrefixes) {
  EXPECT_EQ(parse_partitions("auto")->count, 0u);
  EXPECT_EQ(parse_partitions("1")->count, 1u);
  EXPECT_EQ(parse_partitions("32")->count, 32u);
  EXPECT_EQ(parse_partitions("b,a,c")->prefixes, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(parse_partitions("user:")->prefixes, std::vector<std::string>{"user:"});
  EXPECT_EQ(parse_partitions("1a,2")->prefixes, (std::vector<std::string>{"1a", "2"}));
  for (const std::string_view bad : {"", ",", "a,,b", "a,", ",a", "a,a", "a,ab", "ab,c,a", "0",
                                     "33", "99999999999999999999999"}) {
    const auto refused = parse_partitions(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  }
}

class PartitionTest : public SourceTest {
 public:
  PartitionTest() {
    store::MemoryOptions options = narrow();
    options.capabilities.seekable = true;
    backend = store::make_memory_backend(options);
  }
  static std::vector<std::string> in_order(std::vector<std::string> keys) {
    std::ranges::sort(keys);
    return keys;
  }
};

TEST_F(PartitionTest, PiecesAreTheWholeAndComeByTurns) {
  fill(400);
  faulty();
  settings.partitions.count = 1;
  const Given serial = read({});
  EXPECT_TRUE(std::ranges::is_sorted(serial.keys));
  settings.partitions.count = 4;
  faulty();
  const Given parted = read({});
  EXPECT_FALSE(parted.error);
  EXPECT_NE(parted.keys, serial.keys) << "by turns";
  EXPECT_EQ(in_order(parted.keys), serial.keys);
  EXPECT_EQ(faulty_store->most_at_once(), 4u);
  EXPECT_LE(faulty_store->calls(Operation::list), 24u)
      << "one short page a piece more than serially";
  faulty();
  EXPECT_EQ(read({}).keys, parted.keys) << "the same order each time";
}

TEST_F(PartitionTest, AutomaticPartsARemoteStoreThatCanSeekWhereOrderDoesNotCount) {
  fill(400);
  faulty();
  Given given = read({});
  EXPECT_FALSE(std::ranges::is_sorted(given.keys));
  EXPECT_EQ(in_order(given.keys).size(), 400u);
  keeps_order = true;
  faulty();
  EXPECT_TRUE(std::ranges::is_sorted(read({}).keys));
  keeps_order = false;
  Selection few;
  few.limit = 5;
  faulty();
  EXPECT_EQ(read(few).keys.size(), 5u);
  EXPECT_EQ(faulty_store->calls(Operation::list), 1u) << "a few entries are on the first page";
}

TEST_F(PartitionTest, AStoreThatCannotSeekTakesPrefixesOnly) {
  backend = store::make_memory_backend(narrow());
  fill(100);
  faulty();
  EXPECT_TRUE(std::ranges::is_sorted(read({}).keys)) << "auto";
  settings.partitions.count = 2;
  faulty();
  ASSERT_TRUE(read({}).error);
  EXPECT_EQ(faulty_store->calls(Operation::list), 0u);
  settings.partitions = *parse_partitions("key:000,key:001,key:002,other");
  faulty();
  const Given given = read({});
  EXPECT_FALSE(given.error);
  EXPECT_EQ(given.keys.size(), 30u) << "what the operator says is taken at its word";
  EXPECT_EQ(faulty_store->most_at_once(), 4u);
}

TEST_F(PartitionTest, PrefixesAndThePrefixOfTheSelectionMeet) {
  fill(100);
  Selection selection;
  selection.prefix = "key:001";
  settings.partitions = *parse_partitions("key:0");
  faulty();
  EXPECT_EQ(read(selection).keys.size(), 10u) << "a shorter partition does not widen the selection";
  settings.partitions = *parse_partitions("key:0012,key:0013");
  faulty();
  EXPECT_EQ(read(selection).keys, (std::vector<std::string>{"key:0012", "key:0013"}));
  settings.partitions = *parse_partitions("key:0012,key:002");
  faulty();
  ASSERT_TRUE(read(selection).error);
  EXPECT_EQ(faulty_store->calls(Operation::list), 0u);
}

TEST_F(PartitionTest, AResumedListingKeepsItsPieces) {
  fill(400);
  faulty();
  settings.partitions.count = 4;
  const Given whole = read({});
  for (const std::size_t pages : {1, 2, 5, 11, 19}) {
    settings.partitions.count = 4;
    faulty();
    const Given first = read({}, {}, pages);
    ASSERT_EQ(first.positions.back().pieces.size(), 4u);
    if (pages == 1) {
      std::vector<std::string> keys = first.keys;
      const Given rest = read({}, first.positions.back());
      keys.insert(keys.end(), rest.keys.begin(), rest.keys.end());
      EXPECT_EQ(keys, whole.keys) << "in the same order, too";
    }
    // The store has changed, and would be parted elsewhere now; another number is asked for.
    store::Block more;
    const std::string key = fmt::format("zzz:{}", pages);
    more.append({.key = key, .presence = store::Presence::present});
    put(*backend, more);
    settings.partitions.count = 2;
    faulty();
    const Given second = read({}, first.positions.back());
    std::vector<std::string> both = first.keys;
    both.insert(both.end(), second.keys.begin(), second.keys.end());
    std::erase_if(both, [](const std::string& each) { return each.starts_with("zzz"); });
    EXPECT_EQ(in_order(both), in_order(whole.keys)) << pages;
  }
}

TEST_F(PartitionTest, WhatLiesOutsideOfThePrefixEndsTheListing) {
  fill(30);
  // A service that overlooks the prefix.
  class Overlooking : public store::FaultyStore {
   public:
    using FaultyStore::FaultyStore;
    io::Task<Result<store::Page>> list(store::ListRequest request) override {
      request.prefix = {};
      return FaultyStore::list(request);
    }
  };
  Overlooking store(open(*backend), {});
  Selection selection;
  selection.prefix = "other:";
  const Given given = read_from(store, selection);
  ASSERT_TRUE(given.error);
  EXPECT_EQ(given.error->code, ErrorCode::protocol);
  EXPECT_TRUE(given.keys.empty());
}

// Keys that stay are given exactly once, by the partitioned listing as by the serial one; keys that
// come and go meanwhile at most once.
class AgreeTest : public PartitionTest, public testing::WithParamInterface<bool> {};

TEST_P(AgreeTest, PartitionedAndSerialListingsAgreeWhileTheStoreChanges) {
  const bool sqlite = GetParam();
  int runs = 0;
  const bool held = rc::check([&] {
    const std::string file = fmt::format("{}/agree-{}.db", folder, ++runs);
    if (sqlite) {
      store::Environment environment{.executor = loop.executor(),
                                     .stop = *stop,
                                     .log = log,
                                     .setting = {},
                                     .data_folder = {},
                                     .gate = {},
                                     .retry = {}};
      auto opened = store::open_sqlite(file, environment);
      RC_ASSERT(opened.has_value());
      backend = std::move(opened->backend);
    } else {
      store::MemoryOptions options = narrow();
      options.capabilities.seekable = true;
      options.capabilities.list_page = 11;
      backend = store::make_memory_backend(options);
    }
    const auto any_key =
        rc::gen::map(rc::gen::pair(rc::gen::elementOf(std::string("ab\xff")),
                                   rc::gen::container<std::string>(rc::gen::arbitrary<char>())),
                     [](const std::pair<char, std::string>& parts) {
                       return parts.first + parts.second.substr(0, 6);
                     });
    const auto staying = *rc::gen::container<std::set<std::string>>(any_key);
    const auto going = *rc::gen::container<std::set<std::string>>(any_key);
    const auto coming = *rc::gen::container<std::vector<std::string>>(any_key);
    store::Block block;
    for (const auto* keys : {&staying, &going}) {
      for (const std::string& key : *keys) {
        block.append({.key = key, .presence = store::Presence::present});
      }
    }
    put(*backend, block);
    Selection selection;
    selection.prefix = *rc::gen::elementOf(std::vector<std::string>{"", "a", "b", "\xff"});
    const std::size_t count = *rc::gen::inRange<std::size_t>(1, 9);

    for (const std::size_t pieces : {std::size_t{1}, count}) {
      settings.partitions.count = pieces;
      const auto store = open(*backend);
      const auto other = open(*backend);
      std::size_t page = 0;
      const auto change = [&]() -> io::Task<> {
        // Before, at and behind where the pieces are.
        store::Block more;
        for (std::size_t i = page; i < coming.size(); i += 3) {
          more.append({.key = coming[i], .presence = store::Presence::present});
        }
        if (!more.empty()) (void)co_await other->put(more.entries());
        if (page < going.size()) {
          const std::string_view gone = *std::next(going.begin(), static_cast<long>(page));
          (void)co_await other->erase(std::span(&gone, 1));
        }
        ++page;
      };
      const Given given = read_from(*store, selection, change);
      RC_ASSERT(!given.error);
      std::multiset<std::string> keys(given.keys.begin(), given.keys.end());
      for (const std::string& key : staying) {
        const bool erased = going.contains(key);
        if (!erased && key.starts_with(selection.prefix)) RC_ASSERT(keys.count(key) == 1u);
      }
      for (const std::string& key : keys) {
        RC_ASSERT(keys.count(key) == 1u);
        RC_ASSERT(key.starts_with(selection.prefix));
      }
    }
    backend.reset();
  });
  EXPECT_TRUE(held);
}
INSTANTIATE_TEST_SUITE_P(Stores, AgreeTest, testing::Bool(), [](const auto& info) {
  return std::string(info.param ? "sqlite" : "memory");
});

// --- listings that repeat keys ------------------------------------------------------------------

TEST_F(SourceTest, AListingThatRepeatsKeysGivesEachOnceInOrder) {
  fill(300);
  store::UnorderedStore store(open(*backend));
  const Given given = read_from(store, {});
  EXPECT_FALSE(given.error);
  EXPECT_EQ(given.keys.size(), 300u);
  EXPECT_TRUE(std::ranges::is_sorted(given.keys));
  Selection some;
  some.tag_field = "tags";
  some.tag_value = "old";
  EXPECT_EQ(read_from(store, some).keys.size(), 100u);
  Selection few;
  few.limit = 45;
  const std::uint64_t before = store.calls(Operation::list);
  EXPECT_EQ(read_from(store, few).keys.size(), 45u);
  EXPECT_LT(store.calls(Operation::list) - before, 10u)
      << "a look at a few entries does not list everything";
}

// Redis has keys of up to 65,536 bytes.
TEST_F(SourceTest, AListingThatRepeatsKeysMayHaveLongOnes) {
  store::MemoryOptions options = narrow();
  options.capabilities.key_bytes = 65'536;
  backend = store::make_memory_backend(options);
  const std::string key(65'536, 'k');
  store::Block block;
  block.append({.key = key, .value = "v", .presence = store::Presence::present});
  put(*backend, block);
  store::UnorderedStore store(open(*backend));
  const Given given = read_from(store, {});
  EXPECT_FALSE(given.error) << given.error->message;
  EXPECT_EQ(given.keys, std::vector<std::string>{key});
}

TEST_F(SourceTest, AResumedJobGoesOnInTheCollectedListing) {
  fill(300);
  store::UnorderedStore store(open(*backend));
  const std::string id = begin_job();
  const Given first = read_from(store, {}, {}, {}, 1);
  const std::uint64_t lists = store.calls(Operation::list);
  ASSERT_FALSE(first.keys.empty());
  resume_job(id);
  const Given second = read_from(store, {}, {}, first.positions.back());
  EXPECT_EQ(store.calls(Operation::list), lists) << "nothing is listed again";
  EXPECT_EQ(first.keys.size() + second.keys.size(), 300u);
  EXPECT_TRUE(std::filesystem::exists(journal->listing_path()));
  EXPECT_TRUE(journal->finish(JobState::finished, ""));
  EXPECT_FALSE(std::filesystem::exists(journal->listing_path())) << "other people's keys";
}

TEST_F(SourceTest, ACollectedListingThatWasCutOffIsBegunAnew) {
  fill(300);
  const std::string id = begin_job();
  Selection old_ones;
  old_ones.tag_field = "tags";
  old_ones.tag_value = "old";
  {
    store::UnorderedStore store(open(*backend));
    const auto stop_at_the_fifth = [&]() -> io::Task<> {
      const auto late = io::Clock::now() + std::chrono::seconds(30);
      while (store.calls(Operation::list) < 5 && io::Clock::now() < late) co_await io::yield();
      stop->request({ErrorCode::interrupted, Retry::never, std::nullopt, "stop"});
    };
    EXPECT_TRUE(read_from(store, old_ones, stop_at_the_fifth).error);
    EXPECT_GE(store.calls(Operation::list), 5u);
  }
  // Meanwhile nothing is selected any more.
  backend = store::make_memory_backend(narrow());
  resume_job(id);
  store::UnorderedStore store(open(*backend));
  const Given resumed = read_from(store, old_ones);
  EXPECT_FALSE(resumed.error);
  EXPECT_EQ(resumed.keys, std::vector<std::string>());
}

}  // namespace
}  // namespace sluice::bulk
