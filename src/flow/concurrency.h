// How many requests may be in flight: sensor → controller → limiter. Pure: time comes in as an
// argument, nothing waits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "flow/quota.h"

namespace sluice::flow {

// Names requests that take similarly long on an idle service, so that a page of a list and a large
// batch are not measured by the same yardstick. 0 is a kind like any other.
using RequestKind = std::uint32_t;

// The kind of a request by its route ("PUT bulk") and what it carries: sizes count by half octaves,
// those below 4 KiB as one, since there the round trip is all.
[[nodiscard]] RequestKind request_kind(std::string_view route, std::size_t bytes);

// LatencySensor: by how much an answer was later than those of the idle service.
//
// The idle service's latency is estimated for each kind, as the least mean of a group of answers in
// the last two periods. Means, since the least single latency of a service that jitters is far
// below what it usually takes; and each a little higher, by its likely error, since the least of
// many means is too low. Periods, since services change; the controller probes at the end of each,
// so that the queue that it keeps is not taken for the service's own latency (as BBR does: Cardwell
// et al., 2016).
class LatencySensor {
 public:
  // Takes in an answer, and returns its latency as a multiple of the idle service's: 1 if that is
  // not known yet, at most `most_inflation`, so that one straggler does not count as an overload.
  double observe(RequestKind kind, Duration latency);
  static constexpr double most_inflation = 4.0;

  // A round has ended, of so many round trips. True: with it, a period, and the next one has begun.
  bool end_round(double round_trips, TimePoint now);
  // A round of a probe has ended: its few answers are a group.
  void end_probe_round();
  // The service takes longer than before, although no queue is left: what was measured before the
  // last round of the probe is forgotten.
  void rebase();

 private:
  static constexpr double unknown = std::numeric_limits<double>::infinity();
  struct Baseline {
    RequestKind kind = 0;
    std::uint64_t used_at = 0;     // by count of answers; 0: a free place
    double this_period = unknown;  // the least mean, in seconds
    double last_period = unknown;
    double last_group = unknown;
    double sum = 0;      // of the group under way
    double squares = 0;  // of the same
    std::size_t size = 0;
    std::size_t wanted = first_group;
  };
  static constexpr std::size_t first_group = 4;
  static constexpr std::size_t full_group = 32;

  Baseline& baseline_of(RequestKind kind);
  static void close_group(Baseline& baseline);

  // A job has few kinds; the one that was not seen for longest gives way to a new one.
  std::array<Baseline, 16> baselines_{};
  std::uint64_t answers_ = 0;
  double round_trips_ = 0;  // in this period
  std::optional<TimePoint> period_began_;
};

// What the answers of about one round trip tell.
struct Round {
  double inflation = 1.0;  // the mean of LatencySensor's, less its likely error
  bool used_up = false;    // as many were in flight as may be: a higher limit might serve
  bool failed = false;     // throttled, timed out or broken
  bool period_over = false;
};

// The state of the controller, and its only memory.
struct Concurrency {
  enum class Phase : std::uint8_t {
    climbing,  // doubles every round
    steady,    // one more a round, or a little less
    probing,   // few are in flight, to see how long the idle service takes
  };
  double limit = 1;
  Phase phase = Phase::climbing;
  double threshold = 1;     // climbing ends here
  double resume = 1;        // the limit after probing
  double before_probe = 1;  // the inflation at the limit before the last halving of a probe
  bool failing = false;     // no good round since the last failure
  int eased = 0;            // rounds in a row that were too slow

  friend bool operator==(const Concurrency&, const Concurrency&) = default;
};

// Starts at 4: low enough to see how long a service takes at rest, and two round trips from the
// usual maximum of 10.
[[nodiscard]] Concurrency initial_concurrency(std::size_t maximum);

// ConcurrencyController, a pure function: the state after a round.
//
// Climbs as TCP does (slow start; Jacobson, 1988), until latency rises or the maximum is reached.
// Then, as Vegas does (Brakmo and Peterson, 1995), one more a round while latency is near that of
// the idle service, and less, by what it is too high, when requests queue up there: it settles
// where an answer takes about half as long again as at rest, just beyond the knee, where the
// service is busy and the queue short. Halves when a round failed (Chiu and Jain, 1989), and climbs
// back to half of what failed.
[[nodiscard]] Concurrency next(Concurrency state, const Round& round, std::size_t maximum);

// What one request that has ended tells.
struct Sample {
  RequestKind kind = 0;
  TimePoint sent{};
  bool failed = false;        // throttled, timed out or broken
  std::size_t in_flight = 0;  // when it ended, itself included
};

// ConcurrencyLimiter: gathers samples into rounds, and holds the limit. What was sent before the
// limit fell tells nothing about the new one, so that the failures of one overload count once.
class ConcurrencyLimiter {
 public:
  explicit ConcurrencyLimiter(std::size_t maximum);

  void observe(const Sample& sample, TimePoint now);
  // How many may be in flight now: 1 to the maximum.
  [[nodiscard]] std::size_t limit() const { return static_cast<std::size_t>(state_.limit); }
  [[nodiscard]] const Concurrency& state() const { return state_; }

 private:
  [[nodiscard]] std::size_t round_length() const;
  [[nodiscard]] double inflation() const;
  void begin_round();

  std::size_t maximum_;
  Concurrency state_;
  LatencySensor sensor_;
  // Only what was sent from then on counts.
  TimePoint counts_from_ = TimePoint::min();
  double inflation_sum_ = 0;
  double inflation_squares_ = 0;
  std::size_t answers_ = 0;
  std::size_t most_in_flight_ = 0;
};

}  // namespace sluice::flow
