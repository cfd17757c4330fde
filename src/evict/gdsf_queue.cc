#include "evict/gdsf_queue.h"

namespace sluice::evict {

void GdsfQueue::add(Id id, double cost, std::uint64_t size, std::optional<TimePoint> expires) {
  const auto [at, is_new] = entries_.try_emplace(id);
  Entry& entry = at->second;
  if (is_new) {
    entry.merit.frequency = 1;
  } else {
    dequeue(id, entry);
    if (entry.expires) by_expiry_.erase({*entry.expires, id});
    size_ -= entry.merit.size;
    ++entry.merit.frequency;
  }
  entry.merit.cost = cost;
  entry.merit.size = size;
  entry.expires = expires;
  size_ += size;
  if (expires) by_expiry_.emplace(*expires, id);
  enqueue(id, entry);
}

bool GdsfQueue::hit(Id id) {
  const auto at = entries_.find(id);
  if (at == entries_.end()) return false;
  dequeue(id, at->second);
  ++at->second.merit.frequency;
  enqueue(id, at->second);
  return true;
}

bool GdsfQueue::remove(Id id) {
  const auto at = entries_.find(id);
  if (at == entries_.end()) return false;
  forget(id, at->second);
  return true;
}

std::optional<GdsfQueue::Id> GdsfQueue::evict(TimePoint now) {
  if (!by_expiry_.empty() && by_expiry_.begin()->first <= now) {
    const Id id = by_expiry_.begin()->second;
    remove(id);
    return id;
  }
  if (by_priority_.empty()) return std::nullopt;
  const Place place = *by_priority_.begin();
  policy_.evicted(place.priority);
  remove(place.id);
  return place.id;
}

void GdsfQueue::enqueue(Id id, Entry& entry) {
  entry.priority = policy_.priority(entry.merit);
  entry.turn = ++turn_;
  by_priority_.insert({entry.priority, entry.turn, id});
}

void GdsfQueue::dequeue(Id id, const Entry& entry) {
  by_priority_.erase({entry.priority, entry.turn, id});
}

void GdsfQueue::forget(Id id, const Entry& entry) {
  dequeue(id, entry);
  if (entry.expires) by_expiry_.erase({*entry.expires, id});
  size_ -= entry.merit.size;
  entries_.erase(id);
}

}  // namespace sluice::evict
