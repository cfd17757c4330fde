#include "flow/gate.h"

#include <algorithm>

namespace sluice::flow {

Gate::Gate(io::Executor executor, io::Stop& stop, Options options)
    : stop_(stop),
      options_(options),
      controller_(options.concurrency),
      changed_(executor),
      stop_listener_(stop, [this] { changed_.notify_all(); }) {
  if (options_.quota) window_.emplace(*options_.quota);
}

io::Task<Result<Gate::Pass>> Gate::enter() {
  const std::uint64_t ticket = next_ticket_++;
  std::optional<TimePoint> closed_since;
  for (;;) {
    if (ticket == serving_) {
      const TimePoint now = io::Clock::now();
      if (stop_.requested()) {
        ++serving_;
        changed_.notify_all();
        co_return std::unexpected(stop_.reason());
      }
      TimePoint open_at = std::max(now, closed_until_);
      if (window_) open_at = std::max(open_at, window_->next(now));
      if (open_at > now) {
        if (!closed_since) closed_since = now;
        co_await changed_.wait_until(open_at);
        continue;
      }
      if (closed_since) stats_.waited += now - *std::exchange(closed_since, std::nullopt);
      if (in_flight_ < controller_.limit()) {
        ++serving_;
        ++in_flight_;
        ++stats_.sent;
        if (window_) window_->record(now);
        changed_.notify_all();
        co_return Pass(*this, now);
      }
    }
    co_await changed_.wait();
  }
}

void Gate::finish(Outcome outcome, TimePoint sent,
                  std::optional<std::chrono::milliseconds> retry_after, const BudgetHint& hint) {
  const TimePoint now = io::Clock::now();
  controller_.observe(
      {.latency = now - sent, .overloaded = outcome != Outcome::answered, .in_flight = in_flight_},
      now);
  --in_flight_;
  if (outcome == Outcome::throttled) ++stats_.throttled;
  if (retry_after) closed_until_ = std::max(closed_until_, now + *retry_after);
  learn(hint, now);
  changed_.notify_all();
}

void Gate::learn(const BudgetHint& hint, TimePoint now) {
  if (options_.quota_is_fixed) return;
  if (hint.quota && hint.quota->requests > 0 && hint.quota->window > Duration::zero()) {
    if (!window_) {
      window_.emplace(*hint.quota);
    } else if (window_->quota() != *hint.quota) {
      window_->set_quota(*hint.quota);
    }
  }
  // Nothing left: others spend the same budget. The next window opens at the reset.
  if (hint.remaining && *hint.remaining == 0 && hint.reset_after) {
    closed_until_ = std::max(closed_until_, now + *hint.reset_after);
  }
}

GateStats Gate::stats() const {
  GateStats stats = stats_;
  stats.in_flight = in_flight_;
  stats.concurrency = controller_.limit();
  return stats;
}

}  // namespace sluice::flow
