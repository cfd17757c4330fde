// ShardedTable: the entries of one namespace of the memory store.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "store/block.h"

namespace sluice::store {

// An ordered table that several threads use at the same time. A hash of the key says which shard
// holds it; each shard is a map under its own lock. A reader sees an entry wholly old or wholly
// new. A lock is held for one entry, or for one shard's share of a page, and never while a large
// value is copied.
//
// Expired entries are never given out, and each write removes a few of those in its shard, so that
// a table in which all entries expire does not grow for ever.
class ShardedTable {
 public:
  // What a listing is about: keys that begin with `prefix`, greater than `after` (empty: no such
  // bound), up to and including `until` (empty: no such bound).
  struct Range {
    std::string_view prefix;
    std::string_view after;
    std::string_view until;
  };

  ShardedTable() = default;
  ShardedTable(const ShardedTable&) = delete;
  ShardedTable& operator=(const ShardedTable&) = delete;

  // Adds what is under `key` to `answer`: Presence::present or missing.
  void get(std::string_view key, std::int64_t now, Block& answer) const;

  // False, and nothing is changed, when the table is closed. An expiry that has come already is
  // allowed.
  bool put(const EntryView& entry, std::int64_t now);
  bool erase(std::string_view key, std::int64_t now);

  // Adds the least keys of the range to `page`, in order: `limit` of them, or fewer once their
  // values have kMostPageBytes. True: others follow. Not the state of one moment, but each key that
  // is there all the time comes once.
  bool list(const Range& range, std::size_t limit, bool values, std::int64_t now,
            Block& page) const;

  // Keys that begin with `prefix`: all of a small table, else those of some shards, which are a
  // sample as good as random.
  [[nodiscard]] std::vector<std::string> sample(std::string_view prefix) const;

  // Ends the table: from now on nothing is written, and what is read is worth nothing if `closed`
  // is true afterwards. The entries stay until `clear_some` has removed them.
  void close() { closed_ = true; }
  [[nodiscard]] bool closed() const { return closed_; }
  // Removes about `count` entries of a closed table. False: it is empty.
  bool clear_some(std::size_t count);

  // Entries held, expired ones that have not been removed included.
  [[nodiscard]] std::size_t size() const;

  static constexpr std::size_t kMostPageBytes = std::size_t{2} << 20;

 private:
  // A value of more than kLargeValue bytes is kept apart and shared, so that it is copied without
  // the lock.
  struct Record {
    std::string value;
    std::string metadata;
    std::int64_t expiration = 0;
    std::shared_ptr<const std::string> large;
    [[nodiscard]] bool expired(std::int64_t now) const {
      return expiration != 0 && expiration <= now;
    }
  };
  using Entries = std::map<std::string, Record, std::less<>>;

  // A key with its hash, which is computed once.
  struct Hashed {
    explicit Hashed(std::string_view text);
    std::string_view key;
    std::size_t hash;
  };
  struct HashOf {
    using is_transparent = void;
    std::size_t operator()(const Hashed& key) const { return key.hash; }
    std::size_t operator()(Entries::iterator at) const { return Hashed(at->first).hash; }
  };
  struct SameKey {
    using is_transparent = void;
    bool operator()(Entries::iterator a, Entries::iterator b) const { return a == b; }
    bool operator()(const Hashed& a, Entries::iterator b) const { return a.key == b->first; }
    bool operator()(Entries::iterator a, const Hashed& b) const { return a->first == b.key; }
  };

  struct alignas(64) Shard {
    mutable std::shared_mutex mutex;
    Entries entries;
    // The way to a single entry, which in a large table is several times shorter than the tree's.
    std::unordered_set<Entries::iterator, HashOf, SameKey> index;
    std::size_t expiring = 0;                // entries that have an expiry
    Entries::iterator hand = entries.end();  // where the removal of expired ones goes on

    // Removes an entry, and keeps the hand off it.
    void remove(Entries::iterator at);
    void sweep(std::int64_t now);
  };
  // What a listing has read ahead of one shard.
  struct Lane;

  // Enough that eight loops seldom meet in one, few enough that a short listing is cheap.
  static constexpr std::size_t kShards = 16;  // see shard_of
  static constexpr std::size_t kLargeValue = 4096;
  static constexpr int kSwept = 4;  // entries that a write looks at

  // By the hash's upper bits: the lower ones choose the place in the shard's index.
  static std::size_t shard_of(const Hashed& key) { return key.hash >> 60; }
  static void refill(Lane& lane, const Range& range, std::size_t share, bool values,
                     std::int64_t now, Block& page);

  std::array<Shard, kShards> shards_;
  std::atomic<bool> closed_ = false;
};

}  // namespace sluice::store
