#include "store/memory/sharded_table.h"

#include <xxhash.h>

#include <algorithm>
#include <mutex>
#include <utility>

namespace sluice::store {

namespace {

// Expired entries that are passed over while a lock is held.
constexpr std::size_t kMostPassedOver = 256;
// Keys that a sample copies while a lock is held, and how many are enough.
constexpr std::size_t kSampleStretch = 512;
constexpr std::size_t kEnoughSamples = 4096;

}  // namespace

ShardedTable::Hashed::Hashed(std::string_view text)
    : key(text), hash(XXH3_64bits(text.data(), text.size())) {}

void ShardedTable::Shard::remove(Entries::iterator at) {
  if (at->second.expiration != 0) --expiring;
  index.erase(at);
  const bool at_hand = at == hand;
  const auto next = entries.erase(at);
  if (at_hand) hand = next;
}

void ShardedTable::Shard::sweep(std::int64_t now) {
  for (int looked_at = 0; looked_at < kSwept && expiring > 0; ++looked_at) {
    if (hand == entries.end()) hand = entries.begin();
    const auto at = hand++;
    if (at->second.expired(now)) remove(at);
  }
}

void ShardedTable::get(std::string_view key, std::int64_t now, Block& answer) const {
  const Hashed hashed(key);
  const Shard& shard = shards_[shard_of(hashed)];
  EntryView entry;
  entry.key = answer.copy(key);
  entry.presence = Presence::missing;
  std::shared_ptr<const std::string> large;
  {
    const std::shared_lock lock(shard.mutex);
    const auto found = shard.index.find(hashed);
    if (found != shard.index.end() && !(*found)->second.expired(now)) {
      const Record& record = (*found)->second;
      entry.presence = Presence::present;
      entry.metadata = answer.copy(record.metadata);
      entry.expiration = record.expiration;
      large = record.large;
      if (large == nullptr) entry.value = answer.copy(record.value);
    }
  }
  if (large != nullptr) entry.value = answer.copy(*large);
  answer.append_in_place(entry);
}

bool ShardedTable::put(const EntryView& entry, std::int64_t now) {
  const Hashed hashed(entry.key);
  Shard& shard = shards_[shard_of(hashed)];
  std::string key(entry.key);
  Record record{.metadata = std::string(entry.metadata), .expiration = entry.expiration};
  if (entry.value.size() > kLargeValue) {
    record.large = std::make_shared<const std::string>(entry.value);
  } else {
    record.value = entry.value;
  }
  // The lock goes before `record`, which by then may be the old one.
  const std::lock_guard lock(shard.mutex);
  if (closed_) return false;
  if (entry.expiration != 0) ++shard.expiring;
  if (const auto found = shard.index.find(hashed); found != shard.index.end()) {
    std::swap((*found)->second, record);
    if (record.expiration != 0) --shard.expiring;
  } else {
    shard.index.insert(shard.entries.emplace(std::move(key), std::move(record)).first);
  }
  shard.sweep(now);
  return true;
}

bool ShardedTable::erase(std::string_view key, std::int64_t now) {
  const Hashed hashed(key);
  Shard& shard = shards_[shard_of(hashed)];
  const std::lock_guard lock(shard.mutex);
  if (closed_) return false;
  if (const auto found = shard.index.find(hashed); found != shard.index.end()) {
    shard.remove(*found);
  }
  shard.sweep(now);
  return true;
}

struct ShardedTable::Lane {
  struct Taken {
    EntryView entry;
    std::shared_ptr<const std::string> large;
  };
  const Shard* shard = nullptr;
  std::vector<Taken> taken;
  std::size_t next = 0;       // the first of `taken` that is not in the page yet
  std::string_view position;  // the last key looked at
  bool ended = false;

  [[nodiscard]] bool drained() const { return next == taken.size(); }
  [[nodiscard]] std::string_view key() const { return taken[next].entry.key; }
  [[nodiscard]] std::size_t value_bytes() const {
    const Taken& head = taken[next];
    return head.large != nullptr ? head.large->size() : head.entry.value.size();
  }
};

// Reads the next entries of the lane's shard, with their texts in `page`.
void ShardedTable::refill(Lane& lane, const Range& range, std::size_t share, bool values,
                          std::int64_t now, Block& page) {
  while (lane.drained() && !lane.ended) {
    lane.taken.clear();
    lane.next = 0;
    const Entries& entries = lane.shard->entries;
    const std::shared_lock lock(lane.shard->mutex);
    auto at = lane.position.empty() || lane.position < range.prefix
                  ? entries.lower_bound(range.prefix)
                  : entries.upper_bound(lane.position);
    std::size_t passed_over = 0;
    lane.ended = true;
    for (; at != entries.end() && at->first.starts_with(range.prefix); ++at) {
      if (!range.until.empty() && at->first > range.until) break;
      const Record& record = at->second;
      if (record.expired(now)) {
        if (++passed_over < kMostPassedOver) continue;
        lane.position = page.copy(at->first);
        lane.ended = false;
        break;
      }
      Lane::Taken taken{.entry = {.key = page.copy(at->first),
                                  .metadata = page.copy(record.metadata),
                                  .expiration = record.expiration},
                        .large = nullptr};
      if (values) {
        taken.entry.presence = Presence::present;
        taken.entry.value = page.copy(record.value);
        taken.large = record.large;
      }
      lane.position = taken.entry.key;
      lane.taken.push_back(std::move(taken));
      if (lane.taken.size() == share) {
        lane.ended = false;
        break;
      }
    }
  }
}

bool ShardedTable::list(const Range& range, std::size_t limit, bool values, std::int64_t now,
                        Block& page) const {
  // A shard's part of the page, with a quarter to spare, since hashing spreads keys unevenly.
  const std::size_t share = limit / kShards + limit / kShards / 4 + 2;
  std::array<Lane, kShards> lanes;
  std::vector<Lane*> heap;  // the lane with the least key first
  for (std::size_t i = 0; i < kShards; ++i) {
    Lane& lane = lanes[i];
    lane.shard = &shards_[i];
    lane.position = range.after;
    refill(lane, range, share, values, now, page);
    if (!lane.drained()) heap.push_back(&lane);
  }
  const auto later = [](const Lane* a, const Lane* b) { return a->key() > b->key(); };
  std::ranges::make_heap(heap, later);
  std::size_t value_bytes = 0;
  while (!heap.empty()) {
    std::ranges::pop_heap(heap, later);
    Lane& lane = *heap.back();
    value_bytes += lane.value_bytes();
    if (page.size() >= limit || (!page.empty() && value_bytes > kMostPageBytes)) return true;
    Lane::Taken& taken = lane.taken[lane.next++];
    if (taken.large != nullptr) taken.entry.value = page.copy(*std::exchange(taken.large, nullptr));
    page.append_in_place(taken.entry);
    if (lane.drained()) refill(lane, range, share, values, now, page);
    if (lane.drained()) {
      heap.pop_back();
    } else {
      std::ranges::push_heap(heap, later);
    }
  }
  return false;
}

std::vector<std::string> ShardedTable::sample(std::string_view prefix) const {
  std::vector<std::string> keys;
  for (const Shard& shard : shards_) {
    if (keys.size() >= kEnoughSamples) break;
    const std::size_t before = keys.size();
    for (bool more = true; more;) {
      more = false;
      const std::shared_lock lock(shard.mutex);
      auto at = keys.size() == before ? shard.entries.lower_bound(prefix)
                                      : shard.entries.upper_bound(keys.back());
      const std::size_t enough = keys.size() + kSampleStretch;
      for (; at != shard.entries.end() && at->first.starts_with(prefix); ++at) {
        if (keys.size() == enough) {
          more = true;
          break;
        }
        keys.push_back(at->first);
      }
    }
  }
  return keys;
}

bool ShardedTable::clear_some(std::size_t count) {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    while (!shard.entries.empty() && count > 0) {
      shard.remove(shard.entries.begin());
      --count;
    }
    if (count == 0) return true;
  }
  return false;
}

std::size_t ShardedTable::size() const {
  std::size_t size = 0;
  for (const Shard& shard : shards_) {
    const std::shared_lock lock(shard.mutex);
    size += shard.entries.size();
  }
  return size;
}

}  // namespace sluice::store
