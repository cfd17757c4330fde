// KeyMerge: which of many ascending sequences of keys has the least one. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::store {

// Merges sequences, each of which ascends and is known by its number, 0 to count - 1:
//
//   KeyMerge merge(keys);                      // the first key of each sequence
//   while (!merge.empty()) {
//     take(merge.least());
//     more ? merge.advance(next_key) : merge.end();
//   }
//
// A tournament of losers (Knuth, The Art of Computer Programming, volume 3, 5.4.1): a key that
// comes costs one comparison on each level, half of what a heap needs.
//
// Keys of neighbours mostly begin alike, and comparing them in full would be most of the time. So
// each key has a rank: the eight bytes behind what all keys have in common. Only equal ranks are
// compared in full.
//
// The keys are not copied: each stays valid until its sequence is advanced.
class KeyMerge {
 public:
  explicit KeyMerge(std::vector<std::string_view> keys);

  [[nodiscard]] bool empty() const { return left_ == 0; }
  // The sequence with the least key. Not of an empty merge.
  [[nodiscard]] std::size_t least() const { return least_; }
  // The key of `least()` has been taken; `key` comes after it in its sequence.
  void advance(std::string_view key);
  // The key of `least()` has been taken, and was the last one.
  void end();

 private:
  [[nodiscard]] bool before(std::size_t a, std::size_t b) const;
  [[nodiscard]] std::uint64_t rank(std::string_view key) const;
  void share(std::string_view key);
  std::size_t play(std::size_t node);
  void replay();

  // Every key that has not ended begins with it, so that a greater rank is a greater key.
  std::string common_;
  std::vector<std::string_view> keys_;
  std::vector<std::uint64_t> ranks_;  // of an ended sequence: the greatest
  std::vector<bool> ended_;
  // A node is the match of its children 2n and 2n + 1; the leaves, from keys_.size() on, are the
  // sequences. Holds the loser.
  std::vector<std::size_t> losers_;
  std::size_t least_ = 0;
  std::size_t left_ = 0;
};

}  // namespace sluice::store
