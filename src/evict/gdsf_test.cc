#include "evict/gdsf.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "evict/gdsf_queue.h"

namespace sluice::evict {
namespace {

using TimePoint = GdsfQueue::TimePoint;
TimePoint at(int seconds) {
  return TimePoint(std::chrono::seconds(seconds));
}

TEST(Gdsf, WorthIsFrequencyTimesCostBySize) {
  const Gdsf policy;
  EXPECT_DOUBLE_EQ(policy.priority({.frequency = 3, .cost = 20, .size = 6}), 10);
  EXPECT_DOUBLE_EQ(policy.priority({.frequency = 0, .cost = 5, .size = 0}), 5);
}

TEST(Gdsf, WhatIsUsedNowIsWorthMoreThanWhatWasEvicted) {
  Gdsf policy;
  policy.evicted(7);
  policy.evicted(3);
  EXPECT_DOUBLE_EQ(policy.inflation(), 7);
  EXPECT_DOUBLE_EQ(policy.priority({.cost = 1, .size = 2}), 7.5);
}

TEST(Gdsf, NoMeritMakesAnEntryImmortal) {
  Gdsf policy(2);
  for (const double cost : {std::numeric_limits<double>::infinity(), -1.0, std::nan("")}) {
    EXPECT_DOUBLE_EQ(policy.priority({.cost = cost}), 2) << cost;
  }
  policy.evicted(std::numeric_limits<double>::infinity());
  EXPECT_DOUBLE_EQ(policy.inflation(), 2);
}

TEST(GdsfQueue, EvictsTheExpiredFirstThenTheLeastWorth) {
  GdsfQueue queue;
  queue.add(1, 1, 100);             // worth 0.01
  queue.add(2, 1, 10);              // worth 0.1
  queue.add(3, 1000, 10, at(50));   // expires
  queue.add(4, 1000, 10, at(40));   // expires before
  queue.add(5, 1000, 10, at(500));  // expires later
  EXPECT_EQ(queue.size(), 140);
  EXPECT_EQ(queue.evict(at(100)), 4);
  EXPECT_EQ(queue.evict(at(100)), 3);
  EXPECT_EQ(queue.evict(at(100)), 1);
  EXPECT_EQ(queue.evict(at(100)), 2);
  EXPECT_EQ(queue.evict(at(100)), 5);
  EXPECT_EQ(queue.evict(at(100)), std::nullopt);
  EXPECT_EQ(queue.size(), 0);
}

TEST(GdsfQueue, HitsKeepAnEntryAndAgeingLetsItGo) {
  GdsfQueue queue;
  queue.add(1, 1, 1);
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(queue.hit(1));  // worth 10
  // Each newcomer is worth 1 more than what went before it: after ten of them, 1 is the oldest.
  for (GdsfQueue::Id id = 2; id <= 11; ++id) {
    queue.add(id, 1, 1);
    const auto gone = queue.evict(at(0));
    if (id <= 10) EXPECT_EQ(gone, id);
    if (id == 11) EXPECT_EQ(gone, 1);
  }
}

TEST(GdsfQueue, AmongEqualsTheLeastRecentlyUsedGoes) {
  GdsfQueue queue;
  for (GdsfQueue::Id id = 1; id <= 3; ++id) queue.add(id, 1, 1);
  EXPECT_EQ(queue.evict(at(0)), 1);
}

// Against a keeper that looks at all entries each time.
TEST(GdsfQueue, AgreesWithTheDefinition) {
  rc::check([] {
    struct Plain {
      Merit merit;
      std::optional<TimePoint> expires;
      double priority;
      int turn;
    };
    std::map<GdsfQueue::Id, Plain> model;
    double inflation = 0;
    int turn = 0;
    GdsfQueue queue;
    const auto steps = *rc::gen::container<std::vector<std::tuple<int, int, int>>>(
        rc::gen::tuple(rc::gen::inRange(0, 8), rc::gen::inRange(0, 10), rc::gen::inRange(1, 20)));
    int now = 0;
    for (const auto& [what, number, amount] : steps) {
      const auto id = static_cast<GdsfQueue::Id>(number);
      ++now;
      const auto use = [&](Plain& entry) {
        entry.priority = inflation + static_cast<double>(entry.merit.frequency) * entry.merit.cost /
                                         static_cast<double>(entry.merit.size);
        entry.turn = ++turn;
      };
      if (what <= 2) {
        Plain& entry = model[id];
        const std::uint64_t before = entry.turn == 0 ? 0 : entry.merit.frequency;
        entry.merit = {before + 1, 1.0 + number, static_cast<std::uint64_t>(amount)};
        entry.expires = what == 2 ? std::optional(at(now + amount)) : std::nullopt;
        use(entry);
        queue.add(id, entry.merit.cost, entry.merit.size, entry.expires);
      } else if (what <= 4) {
        const auto entry = model.find(id);
        RC_ASSERT(queue.hit(id) == (entry != model.end()));
        if (entry != model.end()) {
          ++entry->second.merit.frequency;
          use(entry->second);
        }
      } else if (what == 5) {
        RC_ASSERT(queue.remove(id) == (model.erase(id) > 0));
      } else {
        auto least = model.end();
        for (auto entry = model.begin(); entry != model.end(); ++entry) {
          const auto rank = [&](const auto& item) {
            const bool expired = item.second.expires && *item.second.expires <= at(now);
            return std::tuple(!expired, expired ? *item.second.expires : TimePoint{},
                              expired ? static_cast<double>(item.first) : item.second.priority,
                              item.second.turn);
          };
          if (least == model.end() || rank(*entry) < rank(*least)) least = entry;
        }
        const auto gone = queue.evict(at(now));
        RC_ASSERT(gone.has_value() == (least != model.end()));
        if (least == model.end()) continue;
        RC_ASSERT(*gone == least->first);
        const bool expired = least->second.expires && *least->second.expires <= at(now);
        if (!expired) inflation = std::max(inflation, least->second.priority);
        model.erase(least);
      }
      std::uint64_t size = 0;
      for (const auto& [_, entry] : model) size += entry.merit.size;
      RC_ASSERT(queue.size() == size);
      RC_ASSERT(queue.count() == model.size());
    }
  });
}

}  // namespace
}  // namespace sluice::evict
