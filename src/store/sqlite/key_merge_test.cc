#include "store/sqlite/key_merge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace sluice::store {
namespace {

// All keys in the order in which the merge gives them.
std::vector<std::string> merged(const std::vector<std::vector<std::string>>& sequences) {
  std::vector<const std::vector<std::string>*> begun;
  std::vector<std::string_view> first;
  for (const auto& sequence : sequences) {
    if (sequence.empty()) continue;
    begun.push_back(&sequence);
    first.emplace_back(sequence.front());
  }
  std::vector<std::size_t> at(begun.size());
  std::vector<std::string> out;
  KeyMerge merge(first);
  while (!merge.empty()) {
    const std::size_t least = merge.least();
    const auto& sequence = *begun[least];
    out.push_back(sequence[at[least]]);
    if (++at[least] < sequence.size()) {
      merge.advance(sequence[at[least]]);
    } else {
      merge.end();
    }
  }
  return out;
}

std::vector<std::string> sorted(const std::vector<std::vector<std::string>>& sequences) {
  std::vector<std::string> all;
  for (const auto& sequence : sequences) all.insert(all.end(), sequence.begin(), sequence.end());
  std::ranges::sort(all);
  return all;
}

TEST(KeyMerge, OfNothingIsEmpty) {
  EXPECT_TRUE(KeyMerge({}).empty());
}

TEST(KeyMerge, GivesTheKeysInOrder) {
  using Sequences = std::vector<std::vector<std::string>>;
  const std::string zero(1, '\0');
  const Sequences cases[] = {
      {{"a"}},
      {{"a", "b", "c"}},
      {{"b"}, {"a"}},
      {{"a", "z"}, {"b", "y"}, {"c", "x"}},
      // A key that is the beginning of another, and one that the padding of ranks looks like.
      {{"user:1", "user:12"}, {"user:1" + zero, "user:11"}, {"user:1" + zero + zero}},
      // Equal in the eight bytes that are compared first.
      {{"k:12345678b"}, {"k:12345678a", "k:12345678c"}, {"k:12345678"}},
      // The first keys have much in common, the later ones less and less, and then nothing.
      {{"user:0001", "user:0300", "v"}, {"user:0002", "user:2000"}, {"user:0003", "w", "\xff"}},
      // The greatest rank there is, beside sequences that have ended.
      {{"\xff\xff\xff\xff\xff\xff\xff\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\xff"}, {"a"}, {"b"}},
  };
  for (const Sequences& sequences : cases) EXPECT_EQ(merged(sequences), sorted(sequences));
}

TEST(KeyMerge, GivesRandomKeysInOrder) {
  std::mt19937_64 chance(20261120);
  const auto below = [&](std::size_t most) { return static_cast<std::size_t>(chance() % most); };
  for (int round = 0; round < 2000; ++round) {
    // Few different bytes, so that keys begin alike.
    const std::string letters(round % 2 == 0 ? "ab" : std::string_view("\0\1a\xff", 4));
    const std::size_t length = 1 + below(20);
    std::vector<std::vector<std::string>> sequences(1 + below(12));
    for (auto& sequence : sequences) {
      sequence.resize(below(30));
      for (std::string& key : sequence) {
        for (std::size_t i = below(length + 1); i > 0; --i) key += letters[below(letters.size())];
      }
      std::ranges::sort(sequence);
    }
    ASSERT_EQ(merged(sequences), sorted(sequences)) << "round " << round;
  }
}

}  // namespace
}  // namespace sluice::store
