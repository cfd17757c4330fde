#include "cdn/item_spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "io/task.h"

namespace sluice::cdn {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Fate = ItemSpool::Fate;

struct ItemSpoolTest : ::testing::Test {
  void SetUp() override {
    std::string folder = testing::TempDir() + "/sluice-item-spool-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    path = folder + "/items";
  }
  void TearDown() override {
    std::filesystem::remove_all(std::filesystem::path(path).parent_path());
  }

  template <class Body>
  void run(Body body) {
    const auto task = [&]() -> io::Task<int> {
      auto spool = co_await ItemSpool::open(path);
      EXPECT_TRUE(spool) << spool.error().message;
      if (spool) co_await body(**spool);
      co_return 0;
    };
    loop.run(task());
  }
  static io::Task<std::vector<std::string>> due(ItemSpool& spool, std::string zone) {
    std::vector<std::string> texts;
    std::int64_t after = 0;
    for (;;) {
      const auto items = co_await spool.due(zone, after, 2);
      if (!items || items->empty()) break;
      after = items->back().id;
      for (const auto& item : *items) texts.push_back(item.text);
    }
    co_return texts;
  }
  static io::Task<> settle(ItemSpool& spool, std::vector<ItemSpool::Noted> items) {
    const std::string zone[] = {"z"};
    const auto settled = co_await spool.settle(zone, items);
    EXPECT_TRUE(settled);
  }
  static io::Task<> note(ItemSpool& spool, std::vector<ItemSpool::Noted> items) {
    const std::string zone[] = {"z"};
    const auto noted = co_await spool.note(zone, items);
    EXPECT_TRUE(noted);
  }

  io::Loop loop;
  std::string path;
};

TEST_F(ItemSpoolTest, KeepsEachItemOnceInTheirOrder) {
  run([](ItemSpool& spool) -> io::Task<> {
    const ItemSpool::Placed items[] = {{"z", "b"}, {"z", "a"}, {"y", "a"}, {"z", "b"}};
    const auto added = co_await spool.add(items);
    EXPECT_EQ(added.value(), 3u);
    const auto of_z = co_await due(spool, "z");
    EXPECT_THAT(of_z, ElementsAre("b", "a"));
    const auto first = co_await spool.due("z", 0, 1);
    const std::int64_t ids[] = {first->front().id};
    (void)co_await spool.purged(ids);
    const auto rest = co_await due(spool, "z");
    EXPECT_THAT(rest, ElementsAre("a"));
    const auto count = co_await spool.count_due("z");
    EXPECT_EQ(count.value(), 1u);
    (void)co_await spool.copy("z", "x");
    (void)co_await spool.move("y", "w");
    const auto of_x = co_await due(spool, "x");
    EXPECT_THAT(of_x, ElementsAre("a"));
    const auto of_w = co_await due(spool, "w");
    EXPECT_THAT(of_w, ElementsAre("a"));
  });
}

TEST_F(ItemSpoolTest, WhatIsNotedIsDueOnlyWhenItsEntryIsGone) {
  run([](ItemSpool& spool) -> io::Task<> {
    std::vector<ItemSpool::Noted> notes{{"gone"}, {"kept"}, {"open"}, {"both"}};
    co_await note(spool, notes);
    co_await note(spool, notes);
    auto found = co_await due(spool, "z");
    EXPECT_THAT(found, IsEmpty());
    co_await settle(spool, {{"gone", Fate::gone},
                            {"kept", Fate::kept},
                            {"open", Fate::unknown},
                            {"both", Fate::gone_in_part}});
    found = co_await due(spool, "z");
    EXPECT_THAT(found, ElementsAre("gone", "both"));
    co_await settle(spool, {{"gone", Fate::kept}, {"kept", Fate::kept}, {"both", Fate::kept}});
    found = co_await due(spool, "z");
    EXPECT_THAT(found, ElementsAre("gone", "both"));
    const auto left = co_await spool.left("z", 0, 10);
    EXPECT_EQ(left->size(), 3u);  // open is pending
  });
  // The next process presumes what nobody has answered.
  run([](ItemSpool& spool) -> io::Task<> {
    const auto presumed = co_await spool.presume();
    EXPECT_EQ(presumed.value(), 2u);
    const auto found = co_await due(spool, "z");
    EXPECT_THAT(found, ElementsAre("gone", "open", "both"));
  });
}

TEST_F(ItemSpoolTest, WhatIsPurgedIsDueAgainWhenAnotherEntryGoes) {
  run([](ItemSpool& spool) -> io::Task<> {
    co_await note(spool, {{"t"}});
    co_await settle(spool, {{"t", Fate::gone}});
    const auto first = co_await spool.due("z", 0, 10);
    const std::int64_t ids[] = {first->front().id};
    (void)co_await spool.purged(ids);
    co_await note(spool, {{"t"}});
    auto found = co_await due(spool, "z");
    EXPECT_THAT(found, IsEmpty());
    co_await settle(spool, {{"t", Fate::gone}});
    found = co_await due(spool, "z");
    EXPECT_THAT(found, ElementsAre("t"));
  });
}

TEST_F(ItemSpoolTest, WhatWasRefusedIsDueInTheNextRun) {
  run([](ItemSpool& spool) -> io::Task<> {
    const ItemSpool::Placed items[] = {{"z", "a"}};
    (void)co_await spool.add(items);
    const auto first = co_await spool.due("z", 0, 10);
    const std::int64_t ids[] = {first->front().id};
    (void)co_await spool.refused(ids);
    const auto found = co_await due(spool, "z");
    EXPECT_THAT(found, IsEmpty());
    const auto left = co_await spool.left("z", 0, 10);
    EXPECT_EQ(left->size(), 1u);
  });
  run([](ItemSpool& spool) -> io::Task<> {
    const auto found = co_await due(spool, "z");
    EXPECT_THAT(found, ElementsAre("a"));
  });
  sqlite::remove_database(path);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(ItemSpoolTest, TellsOthersHowMuchIsLeft) {
  EXPECT_EQ(ItemSpool::count_left(path), 0u) << "there is none";
  EXPECT_FALSE(std::filesystem::exists(path));
  run([&](ItemSpool& spool) -> io::Task<> {
    co_await note(spool, {{.item = "gone"}, {.item = "kept"}, {.item = "pending"}});
    co_await settle(spool, {{"gone", Fate::gone}, {"kept", Fate::kept}});
    EXPECT_EQ(ItemSpool::count_left(path), 2u) << "while it is open";
    const auto items = co_await spool.due("z", 0, 9);
    const std::int64_t ids[] = {items->front().id};
    EXPECT_TRUE(co_await spool.refused(ids));
    EXPECT_EQ(ItemSpool::count_left(path), 2u);
    EXPECT_TRUE(co_await spool.purged(ids));
  });
  EXPECT_EQ(ItemSpool::count_left(path), 1u);
}

}  // namespace
}  // namespace sluice::cdn
