// Stretches, and what a Watermark tells of entries that end in any order.
#include "bulk/position.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <random>
#include <set>

namespace sluice::bulk {
namespace {

TEST(Stretches, PlacesSortAsTheirSource) {
  EXPECT_LT(place_at(255), place_at(256));
  EXPECT_LT(place_at(0x7fff'ffff'ffff'ffff), place_at(0x8000'0000'0000'0000));
  EXPECT_LT(std::string("a"), place_behind("a"));
  EXPECT_LE(place_behind("a"), std::string("a\0", 2));
  EXPECT_LT(place_behind("a"), std::string("a\1", 2));
  EXPECT_LT(place_behind("\xff"), std::string("\xff\xff"));
}

TEST(Stretches, AreASetOfPlaces) {
  const bool held = rc::check("as a set of numbers", [] {
    Stretches stretches;
    std::set<std::uint64_t> model;
    for (int step = *rc::gen::inRange(1, 40); step > 0; --step) {
      const auto from = *rc::gen::inRange<std::uint64_t>(0, 30);
      const auto to = *rc::gen::inRange<std::uint64_t>(0, 30);
      const bool adds = *rc::gen::inRange(0, 3) > 0;
      if (adds) {
        stretches.add({place_at(from), place_at(to)});
      } else {
        stretches.remove({place_at(from), place_at(to)});
      }
      for (std::uint64_t i = from; i < to; ++i) {
        if (adds) {
          model.insert(i);
        } else {
          model.erase(i);
        }
      }
      std::size_t runs = 0;
      for (std::uint64_t i = 0; i < 31; ++i) {
        RC_ASSERT(stretches.contains(place_at(i)) == model.contains(i));
        if (model.contains(i) && (i == 0 || !model.contains(i - 1))) ++runs;
      }
      RC_ASSERT(static_cast<std::size_t>(std::distance(stretches.begin(), stretches.end())) ==
                runs);
      RC_ASSERT(stretches.bytes() == runs * 16);
    }
  });
  EXPECT_TRUE(held);
}

Position behind(std::uint64_t offset) {
  Position position;
  position.offset = offset;
  return position;
}

Stretch bytes(std::uint64_t from, std::uint64_t to) {
  return {place_at(from), place_at(to)};
}

TEST(Watermark, WhatEndsBehindAHangingEntryIsAheadAndOneStretch) {
  Watermark watermark;
  for (std::uint64_t i = 0; i < 100; ++i) {
    watermark.open(behind(10 * i + 10), 10, {.listed = 10, .selected = 10},
                   bytes(10 * i, 10 * i + 10));
  }
  Watermark::Passed passed;
  for (std::uint64_t i = 99; i > 0; --i) watermark.settle(i, {.done = 10});
  // Of the first page, too, all but the hanging entry.
  watermark.settle(0, {.done = 4}, {}, bytes(0, 4));
  watermark.settle(0, {.failed = 5}, {{"k", {}}}, bytes(5, 10));
  EXPECT_TRUE(watermark.advance(passed));
  EXPECT_EQ(watermark.position().offset, 0u);
  Stretches expected;
  expected.add(bytes(0, 4));
  expected.add(bytes(5, 1000));
  EXPECT_EQ(watermark.position().ahead, expected);
  EXPECT_EQ(passed.counts, (Counts{.selected = 999, .done = 994, .failed = 5}));
  EXPECT_EQ(passed.failed.size(), 1u);
  EXPECT_FALSE(watermark.advance(passed));
  watermark.settle(0, {.done = 1}, {}, bytes(4, 5));
  EXPECT_TRUE(watermark.advance(passed));
  EXPECT_EQ(watermark.position().offset, 1000u);
  EXPECT_TRUE(watermark.position().ahead.empty());
  EXPECT_EQ(passed.counts, (Counts{.listed = 1000, .selected = 1000, .done = 995, .failed = 5}));
}

TEST(Watermark, PagesWithoutOrderWaitForTheirTurn) {
  Watermark watermark;
  Watermark::Passed passed;
  watermark.open(behind(1), 1, {.listed = 1, .selected = 1});
  watermark.open(behind(2), 1, {.listed = 1, .selected = 1});
  watermark.settle(1, {.done = 1});
  EXPECT_FALSE(watermark.advance(passed));
  EXPECT_EQ(passed.counts, Counts{});
}

TEST(Watermark, WhatHasNoRoomTakesNothingLaterAhead) {
  Watermark watermark;
  Watermark::Passed passed;
  const auto key_behind = [](std::uint64_t i) { return std::string(1000, static_cast<char>(i)); };
  // Every second page ends: as many gaps, with long keys.
  for (std::uint64_t i = 1; i < 250; ++i) {
    watermark.open(behind(i), 1, {.listed = 1, .selected = 1},
                   {.from = key_behind(i), .to = key_behind(i + 1)});
  }
  for (std::uint64_t i = 1; i < 249; i += 2) watermark.settle(i, {.done = 1});
  EXPECT_TRUE(watermark.advance(passed));
  EXPECT_LE(watermark.position().ahead.bytes(), std::size_t{128} << 10);
  const std::uint64_t kept = passed.counts.done;
  EXPECT_GT(kept, 60u);
  EXPECT_LT(kept, 124u);
  // This one would fit: it lies between two that are ahead. But its key may be one of those that
  // have been left out.
  watermark.settle(2, {.done = 1});
  EXPECT_FALSE(watermark.advance(passed));
  // Once the watermark has passed what was left out, there is room again.
  for (std::uint64_t i = 0; i < 248; i += i == 0 ? 4 : 2) watermark.settle(i, {.done = 1});
  EXPECT_TRUE(watermark.advance(passed));
  EXPECT_EQ(watermark.position().offset, 248u);
  EXPECT_EQ(passed.counts, (Counts{.listed = 248, .selected = 248, .done = 248}));
}

TEST(Watermark, NothingIsAheadOnceABatchHasEndedInPart) {
  Watermark watermark;
  Watermark::Passed passed;
  watermark.open(behind(1), 1, {.listed = 1, .selected = 1}, bytes(0, 1));
  watermark.open(behind(2), 1, {.listed = 1, .selected = 1}, bytes(1, 2));
  watermark.hold_ahead();
  watermark.settle(1, {.done = 1});
  EXPECT_FALSE(watermark.advance(passed));
  EXPECT_TRUE(watermark.position().ahead.empty());
}

}  // namespace
}  // namespace sluice::bulk
