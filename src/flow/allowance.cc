#include "flow/allowance.h"

#include <algorithm>

namespace sluice::flow {

TimePoint Allowance::opens_at(const Budget& budget, std::size_t items) const {
  TimePoint opens = TimePoint::min();
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (!buckets_[i]) continue;
    const std::size_t wanted = i == 0 ? 1 : items;
    opens = std::max(opens, buckets_[i]->opens_at(budget.bucket_full_at(kept_at_ + i), wanted));
  }
  return opens;
}

Allowance::Taken Allowance::take(Budget& budget, std::size_t items, TimePoint now) const {
  Taken all{};
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (!buckets_[i]) continue;
    const TokenBucket& bucket = *buckets_[i];
    const std::size_t taken = i == 0 ? 1 : items;
    // Another process may have been faster since the look: then the bucket owes a token.
    TimePoint full_at = budget.bucket_full_at(kept_at_ + i);
    while (!budget.set_bucket(kept_at_ + i, full_at, bucket.full_after(full_at, taken, now))) {
    }
    all[i] = {.from = std::max(full_at, now), .to = bucket.full_after(full_at, taken, now)};
  }
  return all;
}

void Allowance::give_back(Budget& budget, const Taken& taken, TimePoint sent, TimePoint now) const {
  // The service has emptied the bucket since: what it counts is not what was taken here.
  if (sent < slowed_at_) return;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    // Without the request the bucket might have been full from `from` on, and gained nothing more.
    const Duration still_out = taken[i].to - std::max(taken[i].from, now);
    if (!buckets_[i] || still_out <= Duration::zero()) continue;
    TimePoint full_at = budget.bucket_full_at(kept_at_ + i);
    while (!budget.set_bucket(kept_at_ + i, full_at, full_at - still_out)) {
    }
  }
}

void Allowance::throttled(Budget& budget, TimePoint sent, TimePoint now) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (!buckets_[i]) continue;
    const TimePoint empty = buckets_[i]->full_after_emptied(now);
    TimePoint full_at = budget.bucket_full_at(kept_at_ + i);
    while (full_at < empty && !budget.set_bucket(kept_at_ + i, full_at, empty)) {
    }
  }
  if (sent < slowed_at_ || !buckets_[0]) return;
  slowed_at_ = now;
  buckets_[0]->slow_down(slowest_call_);
}

}  // namespace sluice::flow
