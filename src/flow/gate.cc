#include "flow/gate.h"

#include <algorithm>
#include <array>

namespace sluice::flow {

Outcome outcome_of(const Error* error) {
  if (error == nullptr) return Outcome::answered;
  switch (error->code) {
    case ErrorCode::throttled:
      return Outcome::throttled;
    case ErrorCode::timeout:
      return Outcome::timed_out;
    case ErrorCode::network:
    case ErrorCode::unavailable:
      return Outcome::broken;
    default:
      return Outcome::other;
  }
}

Gate::Gate(io::Executor executor, io::Stop& stop, Options options)
    : stop_(stop),
      options_(std::move(options)),
      budget_(options_.budget ? options_.budget : std::make_shared<Budget>()),
      limiter_(options_.concurrency),
      changed_(executor),
      stop_listener_(stop, [this] { changed_.notify_all(); }) {}

io::Task<Result<Gate::Pass>> Gate::enter(RequestKind kind, Fare fare) {
  const bool by_fare =
      fare.allowance != nullptr && fare.allowance->limits() && !options_.quota_is_fixed;
  Allowance* const allowance = by_fare ? fare.allowance : nullptr;
  const std::uint64_t place_in_line = by_fare ? allowance->next_ticket_++ : 0;
  if (by_fare) co_await wait_for_allowance(fare, place_in_line);
  std::uint64_t ticket = next_ticket_++;
  const auto leave_lines = [&] {
    ++serving_;
    if (by_fare) ++allowance->serving_;
    changed_.notify_all();
  };
  std::optional<TimePoint> closed_since;
  for (;;) {
    if (ticket == serving_) {
      if (stop_.requested()) {
        leave_lines();
        co_return std::unexpected(stop_.reason());
      }
      if (in_flight_ < limiter_.limit()) {
        TimePoint now = io::Clock::now();
        if (by_fare && allowance->opens_at(*budget_, fare.items) > now) {
          // The tokens have gone while it stood here. Those behind it need not wait for them.
          ++serving_;
          changed_.notify_all();
          co_await wait_for_allowance(fare, place_in_line);
          ticket = next_ticket_++;
          continue;
        }
        const SendLog::Place place = spend(now);
        if (place.number) {
          if (closed_since) stats_.waited += now - *closed_since;
          stats_.opens_at = TimePoint::min();
          Allowance::Taken taken{};
          if (by_fare) taken = allowance->take(*budget_, fare.items, now);
          if (fare.sent != nullptr) ++*fare.sent;
          leave_lines();
          ++in_flight_;
          ++stats_.sent;
          const Request request{.kind = kind,
                                .sent = now,
                                .number = *place.number,
                                .allowance = allowance,
                                .taken = taken};
          co_return Pass(*this, request);
        }
        if (!closed_since) closed_since = now;
        stats_.opens_at = place.open_at;
        co_await changed_.wait_until(place.open_at);
        continue;
      }
    }
    co_await changed_.wait();
  }
}

io::Task<> Gate::wait_for_allowance(Fare fare, std::uint64_t ticket) {
  const Allowance& allowance = *fare.allowance;
  std::optional<TimePoint> closed_since;
  while (!stop_.requested() || ticket != allowance.serving_) {
    if (ticket != allowance.serving_) {
      co_await changed_.wait();
      continue;
    }
    const TimePoint now = io::Clock::now();
    const TimePoint opens_at = allowance.opens_at(*budget_, fare.items);
    if (opens_at <= now) break;
    if (!closed_since) closed_since = now;
    allowance_opens_at_ = opens_at;
    co_await changed_.wait_until(opens_at);
  }
  if (closed_since) allowance_opens_at_ = TimePoint::min();
  if (closed_since) stats_.waited += io::Clock::now() - *closed_since;
}

SendLog::Place Gate::spend(TimePoint& now) {
  // With nothing in flight, no answer would ever tell that there is room again.
  if (left_ == 0 && in_flight_ > 0 && now < left_until_) return {.open_at = left_until_};
  Quotas quotas;
  if (!options_.quota_is_fixed) quotas = budget_->learned(now);
  if (quotas.empty() && options_.quota) quotas.add(*options_.quota);
  std::array<Pace, Quotas::most> paces;
  // Without a pace, too: others may have one.
  Duration slack = std::chrono::milliseconds(100);
  for (std::size_t i = 0; i < quotas.size(); ++i) {
    paces[i] = pace_of(quotas[i]);
    slack = i == 0 ? paces[i].slack : std::min(slack, paces[i].slack);
  }
  for (;;) {
    if (const TimePoint closed = budget_->closed_until(); now < closed) return {.open_at = closed};
    const SendLog::Place place = budget_->log().reserve({paces.data(), quotas.size()}, now);
    if (!place.number) return place;
    now = io::Clock::now();
    if (!budget_->log().commit(*place.number, now, slack)) continue;
    if (left_ > 0) --left_;
    return place;
  }
}

void Gate::finish(const Request& request, Outcome outcome,
                  std::optional<std::chrono::milliseconds> retry_after, const BudgetHint& hint) {
  const TimePoint now = io::Clock::now();
  const bool failed = outcome != Outcome::answered && outcome != Outcome::other;
  if (!failed || outcome == Outcome::throttled) budget_->log().answered(request.number, now);
  if (outcome != Outcome::other) {
    limiter_.observe(
        {.kind = request.kind, .sent = request.sent, .failed = failed, .in_flight = in_flight_},
        now);
  }
  --in_flight_;
  if (outcome == Outcome::throttled) {
    ++stats_.throttled;
    if (request.allowance != nullptr) request.allowance->throttled(*budget_, request.sent, now);
  }
  if (outcome == Outcome::unsent && request.allowance != nullptr) {
    request.allowance->give_back(*budget_, request.taken, request.sent, now);
  }
  if (retry_after) budget_->close_until(now + *retry_after);
  learn(hint, now);
  changed_.notify_all();
}

void Gate::learn(const BudgetHint& hint, TimePoint now) {
  if (options_.quota_is_fixed) return;
  if (!hint.quotas.empty()) budget_->learn(hint.quotas, now);
  if (!hint.remaining || !hint.reset_after) return;
  const TimePoint reset = now + *hint.reset_after;
  // What is in flight may not be counted in it yet.
  left_ = *hint.remaining - std::min(*hint.remaining, in_flight_);
  left_until_ = reset;
  // Nothing left: others spend the same budget. The next window opens at the reset.
  if (*hint.remaining == 0) budget_->close_until(reset);
}

GateStats Gate::stats() const {
  GateStats stats = stats_;
  stats.opens_at = std::max(stats.opens_at, allowance_opens_at_);
  stats.in_flight = in_flight_;
  stats.concurrency = limiter_.limit();
  return stats;
}

}  // namespace sluice::flow
