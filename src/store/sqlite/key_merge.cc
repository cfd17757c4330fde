#include "store/sqlite/key_merge.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace sluice::store {

KeyMerge::KeyMerge(std::vector<std::string_view> keys)
    : keys_(std::move(keys)),
      ranks_(keys_.size()),
      ended_(keys_.size()),
      losers_(keys_.size()),
      left_(keys_.size()) {
  if (keys_.empty()) return;
  common_ = keys_.front();
  for (const std::string_view key : keys_) share(key);
  for (std::size_t i = 0; i < keys_.size(); ++i) ranks_[i] = rank(keys_[i]);
  least_ = play(1);
}

void KeyMerge::advance(std::string_view key) {
  keys_[least_] = key;
  if (!key.starts_with(common_)) {
    // It leaves the neighbourhood that the others are in. As keys ascend, what they have in common
    // only gets shorter, so this happens once for each of its bytes at most.
    share(key);
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (!ended_[i]) ranks_[i] = rank(keys_[i]);
    }
  } else {
    ranks_[least_] = rank(key);
  }
  replay();
}

void KeyMerge::end() {
  ended_[least_] = true;
  ranks_[least_] = UINT64_MAX;
  --left_;
  replay();
}

// Shortens what all keys have in common to what `key` shares with it.
void KeyMerge::share(std::string_view key) {
  const auto differ = std::ranges::mismatch(common_, key);
  common_.resize(static_cast<std::size_t>(differ.in1 - common_.begin()));
}

std::uint64_t KeyMerge::rank(std::string_view key) const {
  std::uint64_t bytes = 0;
  key.remove_prefix(common_.size());
  std::memcpy(&bytes, key.data(), std::min(key.size(), sizeof bytes));
  return std::byteswap(bytes);  // big-endian: in the order of the bytes
}

bool KeyMerge::before(std::size_t a, std::size_t b) const {
  if (ranks_[a] != ranks_[b]) return ranks_[a] < ranks_[b];
  if (ended_[a] || ended_[b]) return ended_[b];
  return keys_[a] < keys_[b];
}

// Plays the matches below a node, and its own. Returns the winner.
std::size_t KeyMerge::play(std::size_t node) {
  if (node >= keys_.size()) return node - keys_.size();
  std::size_t winner = play(2 * node);
  std::size_t loser = play(2 * node + 1);
  if (before(loser, winner)) std::swap(winner, loser);
  losers_[node] = loser;
  return winner;
}

// Plays the matches of the last winner again, whose key is another.
void KeyMerge::replay() {
  std::size_t winner = least_;
  for (std::size_t node = (winner + keys_.size()) / 2; node > 0; node /= 2) {
    if (before(losers_[node], winner)) std::swap(winner, losers_[node]);
  }
  least_ = winner;
}

}  // namespace sluice::store
