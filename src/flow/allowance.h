// Allowance: a limit that only some of the requests of a gate keep, beside the gate's own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "flow/budget.h"
#include "flow/token_bucket.h"

namespace sluice::flow {

// Two buckets: one of calls, one of the items that calls carry ("5 calls a minute, 800 URLs a
// second"). A request that needs an allowance waits for its tokens in a line of its own, so that it
// holds up no other request of the gate, and takes them at the moment when it is sent.
//
// What is in the buckets is kept by the gate's Budget, so processes that share it share them, too.
// A "too many requests" empties them, and halves the rate of the calls, down to a floor: what is
// learned only slows down. Belongs to one gate.
class Allowance {
 public:
  // Without limits: lets everything pass.
  Allowance() = default;

  // Calls come back at least once in `slowest_call`, whatever is learned. `kept_at` is where the
  // budget keeps the two buckets: those of other rates have another place (0, 2, 4 or 6).
  void limit(TokenBucket calls, std::optional<TokenBucket> items, Duration slowest_call,
             std::size_t kept_at = 0) {
    buckets_ = {calls, items};
    slowest_call_ = slowest_call;
    kept_at_ = kept_at;
  }
  [[nodiscard]] bool limits() const { return buckets_[0].has_value(); }
  [[nodiscard]] const std::optional<TokenBucket>& calls() const { return buckets_[0]; }

  // What one request took from each bucket: it would have been full at `from`, and is at `to`.
  struct Stretch {
    TimePoint from;
    TimePoint to;
  };
  using Taken = std::array<Stretch, 2>;

 private:
  friend class Gate;

  // When a call of `items` items may be sent.
  [[nodiscard]] TimePoint opens_at(const Budget& budget, std::size_t items) const;
  Taken take(Budget& budget, std::size_t items, TimePoint now) const;
  // The request that took it at `sent` has never left: what of it has not come back by itself does
  // so at once.
  void give_back(Budget& budget, const Taken& taken, TimePoint sent, TimePoint now) const;
  // A request that was sent at `sent` was answered "too many requests" at `now`.
  void throttled(Budget& budget, TimePoint sent, TimePoint now);

  std::array<std::optional<TokenBucket>, 2> buckets_;  // of calls, of items
  std::size_t kept_at_ = 0;
  Duration slowest_call_{};
  // Requests that were under way when the rate was halved tell nothing more.
  TimePoint slowed_at_ = TimePoint::min();
  // The line, as that of the gate: the waiter whose ticket is `serving_` goes next.
  std::uint64_t next_ticket_ = 0;
  std::uint64_t serving_ = 0;
};

// What a request costs beyond its place in the gate.
struct Fare {
  Allowance* allowance = nullptr;  // none: nothing
  std::size_t items = 0;           // that it carries
  std::uint64_t* sent = nullptr;   // counts the requests that were let through
};

}  // namespace sluice::flow
