// GdsfQueue: the order of eviction, in memory.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "evict/gdsf.h"

namespace sluice::evict {

// The order in which the entries of a cache in memory go: first those that have expired, the one
// that expired first before the others, then by Gdsf. Entries are known by a number that the cache
// gives them; it keeps the content, and the sizes that its limit counts are added up here.
//
// For one thread at a time. Operations take time logarithmic in the number of entries.
class GdsfQueue {
 public:
  using Id = std::uint64_t;
  using TimePoint = std::chrono::system_clock::time_point;

  // A new entry, or a new content for one that is there (its frequency goes on counting).
  void add(Id id, double cost, std::uint64_t size, std::optional<TimePoint> expires = std::nullopt);
  // It was read. False: it is not here.
  bool hit(Id id);
  // Forgets it. False: it is not here.
  bool remove(Id id);

  // Takes out what is to go next, or nothing if the queue is empty.
  std::optional<Id> evict(TimePoint now);

  [[nodiscard]] std::size_t count() const { return entries_.size(); }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] bool contains(Id id) const { return entries_.contains(id); }

 private:
  struct Entry {
    Merit merit;
    std::optional<TimePoint> expires;
    double priority = 0;
    std::uint64_t turn = 0;  // among equals, who was used longest ago goes first
  };
  struct Place {
    double priority;
    std::uint64_t turn;
    Id id;
    auto operator<=>(const Place&) const = default;
  };
  void enqueue(Id id, Entry& entry);
  void dequeue(Id id, const Entry& entry);
  void forget(Id id, const Entry& entry);

  Gdsf policy_;
  std::unordered_map<Id, Entry> entries_;
  std::set<Place> by_priority_;
  std::set<std::pair<TimePoint, Id>> by_expiry_;
  std::uint64_t size_ = 0;
  std::uint64_t turn_ = 0;
};

}  // namespace sluice::evict
