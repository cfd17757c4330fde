#include "flow/concurrency.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace sluice::flow {

namespace {

// A period is long enough that its probe, two or three rounds with half as many requests, costs at
// most one answer in thirty.
constexpr Duration least_period = std::chrono::seconds(10);
constexpr double least_round_trips = 40;

// Multiples of the idle service's latency. Between the two the limit holds.
constexpr double grow_below = 1.25;
constexpr double ease_above = 1.5;
// At most so far down in one round, since the first rounds after a change are the noisiest.
constexpr double least_ease = 0.7;

// A baseline is a mean with so many of its errors: the least of ten means is as far below the true
// one.
constexpr double errors_above = 1.5;

// So many slow rounds in a row are not our doing alone: the service has become slower.
constexpr int most_eased = 4;

constexpr std::size_t start = 4;
constexpr std::size_t probe_round = 8;

// How far the mean of `count` values is off as a rule: its standard error.
double error_of_mean(double sum, double squares, double count) {
  const double mean = sum / count;
  return std::sqrt(std::max(0.0, squares / count - mean * mean) / std::max(1.0, count - 1));
}

Concurrency begin_probe(Concurrency state, double resume, double inflation) {
  state.phase = Concurrency::Phase::probing;
  state.resume = resume;
  state.before_probe = inflation;
  state.limit = std::max(1.0, std::floor(state.limit / 2));
  return state;
}

Concurrency after_failure(Concurrency state) {
  const double failed_at = state.phase == Concurrency::Phase::probing ? state.resume : state.limit;
  state.limit = std::max(1.0, std::floor(failed_at / 2));
  // An outage halves it again and again; how much the service stood is known from the first time.
  if (!state.failing) state.threshold = state.limit;
  state.failing = true;
  state.phase = Concurrency::Phase::climbing;
  return state;
}

}  // namespace

RequestKind request_kind(std::string_view route, std::size_t bytes) {
  // FNV-1a.
  RequestKind hash = 2'166'136'261;
  for (const char c : route) hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619;
  if (bytes < 4096) return hash;
  const auto width = static_cast<unsigned>(std::bit_width(bytes));
  const auto half = static_cast<unsigned>(bytes >> (width - 2)) & 1;
  return (hash ^ (2 * width + half)) * 16'777'619;
}

double LatencySensor::observe(RequestKind kind, Duration latency) {
  Baseline& baseline = baseline_of(kind);
  const double seconds = std::chrono::duration<double>(latency).count();
  baseline.sum += seconds;
  baseline.squares += seconds * seconds;
  if (++baseline.size >= baseline.wanted) close_group(baseline);
  const double idle = std::min(baseline.this_period, baseline.last_period);
  return idle == unknown ? 1.0 : std::min(most_inflation, seconds / std::max(idle, 1e-9));
}

bool LatencySensor::end_round(double round_trips, TimePoint now) {
  if (!period_began_) period_began_ = now;
  round_trips_ += round_trips;
  if (round_trips_ < least_round_trips || now - *period_began_ < least_period) return false;
  for (Baseline& baseline : baselines_) {
    baseline.last_period = std::exchange(baseline.this_period, unknown);
    baseline.sum = baseline.squares = 0;
    baseline.size = 0;
  }
  round_trips_ = 0;
  period_began_ = now;
  return true;
}

void LatencySensor::end_probe_round() {
  for (Baseline& baseline : baselines_) {
    if (baseline.size >= first_group) close_group(baseline);
    baseline.sum = baseline.squares = 0;
    baseline.size = 0;
  }
}

void LatencySensor::rebase() {
  for (Baseline& baseline : baselines_) {
    baseline.this_period = baseline.last_group;
    baseline.last_period = unknown;
  }
}

LatencySensor::Baseline& LatencySensor::baseline_of(RequestKind kind) {
  ++answers_;
  Baseline* oldest = &baselines_.front();
  for (Baseline& baseline : baselines_) {
    if (baseline.used_at != 0 && baseline.kind == kind) {
      baseline.used_at = answers_;
      return baseline;
    }
    if (baseline.used_at < oldest->used_at) oldest = &baseline;
  }
  *oldest = Baseline{.kind = kind, .used_at = answers_};
  return *oldest;
}

void LatencySensor::close_group(Baseline& baseline) {
  const auto size = static_cast<double>(baseline.size);
  baseline.last_group =
      baseline.sum / size + errors_above * error_of_mean(baseline.sum, baseline.squares, size);
  baseline.this_period = std::min(baseline.this_period, baseline.last_group);
  baseline.sum = baseline.squares = 0;
  baseline.size = 0;
  baseline.wanted = std::min(2 * baseline.wanted, full_group);
}

Concurrency initial_concurrency(std::size_t maximum) {
  const auto most = static_cast<double>(std::max<std::size_t>(1, maximum));
  return {.limit = std::min<double>(start, most), .threshold = most};
}

Concurrency next(Concurrency state, const Round& round, std::size_t maximum) {
  using Phase = Concurrency::Phase;
  if (round.failed) return after_failure(state);
  state.failing = false;
  const bool slow = round.used_up && round.inflation > ease_above;
  state.eased = slow && state.phase == Phase::steady ? state.eased + 1 : 0;
  const auto most = static_cast<double>(std::max<std::size_t>(1, maximum));
  if (state.phase == Phase::probing) {
    // While fewer in flight are answered sooner, there was a queue.
    if (state.limit > 1 && round.inflation < 0.8 * state.before_probe) {
      return begin_probe(state, state.resume, round.inflation);
    }
    state.limit = state.resume;
    state.phase = Phase::steady;
    return state;
  }
  // A limit that is not used up tells nothing about whether another one would serve better.
  if (!round.used_up) return state;
  const double eased =
      std::max(1.0, state.limit * std::max(least_ease, ease_above / round.inflation));
  if (state.phase == Phase::climbing) {
    // How long the queue has become will show only now, so that the first halving proves nothing.
    if (slow) return begin_probe(state, eased, LatencySensor::most_inflation * 2);
    const double doubled = std::min({2 * state.limit, state.threshold, most});
    state.limit = std::max(state.limit, doubled);
    if (state.limit >= std::min(state.threshold, most)) state.phase = Phase::steady;
    return state;
  }
  if (state.eased >= most_eased) return begin_probe(state, eased, round.inflation);
  if (round.period_over && state.limit > 1 && state.limit < most) {
    return begin_probe(state, state.limit, round.inflation);
  }
  if (slow) {
    state.limit = eased;
  } else if (round.inflation < grow_below) {
    state.limit = std::min(most, state.limit + 1);
  }
  return state;
}

ConcurrencyLimiter::ConcurrencyLimiter(std::size_t maximum)
    : maximum_(std::max<std::size_t>(1, maximum)), state_(initial_concurrency(maximum)) {}

void ConcurrencyLimiter::observe(const Sample& sample, TimePoint now) {
  if (sample.sent < counts_from_) return;
  if (sample.failed) {
    state_ = next(state_, {.failed = true}, maximum_);
    counts_from_ = now;
    begin_round();
    return;
  }
  const double inflation = sensor_.observe(sample.kind, now - sample.sent);
  inflation_sum_ += inflation;
  inflation_squares_ += inflation * inflation;
  ++answers_;
  most_in_flight_ = std::max(most_in_flight_, sample.in_flight);
  if (answers_ < round_length()) return;

  const Concurrency before = state_;
  const bool probe = before.phase == Concurrency::Phase::probing;
  Round round{.inflation = this->inflation(), .used_up = most_in_flight_ >= limit()};
  if (probe) {
    sensor_.end_probe_round();
  } else {
    round.period_over =
        sensor_.end_round(static_cast<double>(answers_) / static_cast<double>(limit()), now);
  }
  state_ = next(before, round, maximum_);
  const bool probes_on = state_.phase == Concurrency::Phase::probing;
  if (probe && !probes_on && round.inflation > grow_below) sensor_.rebase();
  if (state_.limit < before.limit || probe || probes_on) counts_from_ = now;
  begin_round();
}

double ConcurrencyLimiter::inflation() const {
  const auto count = static_cast<double>(answers_);
  return inflation_sum_ / count - error_of_mean(inflation_sum_, inflation_squares_, count);
}

std::size_t ConcurrencyLimiter::round_length() const {
  switch (state_.phase) {
    case Concurrency::Phase::climbing:
      return limit();
    case Concurrency::Phase::steady:
      // A round of fewer would be noise; with few in flight, waiting for more takes too long.
      return std::max<std::size_t>(limit(), limit() == 1 ? 4 : 8);
    case Concurrency::Phase::probing:
      return std::max(limit(), probe_round);
  }
  return limit();
}

void ConcurrencyLimiter::begin_round() {
  inflation_sum_ = inflation_squares_ = 0;
  answers_ = 0;
  most_in_flight_ = 0;
}

}  // namespace sluice::flow
