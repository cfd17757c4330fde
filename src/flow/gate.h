// Gate: what every wire request passes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "flow/allowance.h"
#include "flow/budget.h"
#include "flow/concurrency.h"
#include "flow/quota.h"
#include "io/stop.h"

namespace sluice::flow {

// How the request that a Pass admitted has ended, as far as the gate must know.
enum class Outcome : std::uint8_t {
  answered,   // with what was asked
  throttled,  // 429, or the service's own word for it
  timed_out,  // no answer in time, or a gateway's 524
  broken,     // no connection, a reset, 5xx
  unsent,     // nothing of it has left, so nobody can have counted it: its allowance comes back
  other,      // refused, or never read: how long it took tells nothing about the load
};

// How a request ended whose result is `error`, or a success if there is none.
[[nodiscard]] Outcome outcome_of(const Error* error);

// What a gate has seen, for summaries and tests.
struct GateStats {
  std::uint64_t sent = 0;
  std::uint64_t throttled = 0;  // answers that said "too many requests"
  Duration waited{};            // time in which requests stood before a closed gate
  std::size_t in_flight = 0;
  std::size_t concurrency = 0;  // how many may be in flight now
  // While requests stand before a closed gate: when it opens. Else in the past.
  TimePoint opens_at = TimePoint::min();
};

// One gate stands before each budget: a backend together with its credentials. It admits a request
// when the rate budget allows one more, no Retry-After runs, and fewer requests are in flight than
// the concurrency limit. A batch that needs 101 requests passes 101 times.
//
// The budget may be shared with other gates, in this process and in others: then what one of them
// sends, or is told, holds for all of them.
//
// Waiters are admitted in the order in which they came. A requested stop turns all of them away
// with the stop's reason. Belongs to one loop.
class Gate {
 public:
  struct Options {
    std::optional<Quota> quota;        // none: no budget until an answer tells one
    bool quota_is_fixed = false;       // --rate was given: what answers tell is not taken over
    std::size_t concurrency = 10;      // the most that may be in flight
    std::shared_ptr<Budget> budget{};  // none: one of the gate's own
  };

  // What the gate remembers of a request that is under way.
  struct Request {
    RequestKind kind;
    TimePoint sent;
    std::uint64_t number;  // in the log of sends
    Allowance* allowance = nullptr;
    Allowance::Taken taken{};  // of it
  };

  // Leave to send one request; held until its answer is complete. Destroying it without `finish`
  // counts as `broken`.
  class Pass {
   public:
    Pass(Gate& gate, const Request& request) : gate_(&gate), request_(request) {}
    Pass(Pass&& other) noexcept
        : gate_(std::exchange(other.gate_, nullptr)), request_(other.request_) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (gate_ != nullptr) gate_->finish(request_, Outcome::broken, {}, {});
    }
    // Reports the end. A `retry_after` closes the gate for everybody until it is over.
    void finish(Outcome outcome, std::optional<std::chrono::milliseconds> retry_after = {},
                const BudgetHint& hint = {}) {
      std::exchange(gate_, nullptr)->finish(request_, outcome, retry_after, hint);
    }

   private:
    Gate* gate_;
    Request request_;
  };

  Gate(io::Executor executor, io::Stop& stop, Options options);

  // Waits for leave to send one request of this kind (request_kind); latencies are compared with
  // those of its kind only. A request with an allowance waits for that first, and holds nobody up
  // meanwhile; --rate (quota_is_fixed) takes the place of allowances, too. Fails only with the
  // reason of a requested stop.
  io::Task<Result<Pass>> enter(RequestKind kind = 0, Fare fare = {});

  [[nodiscard]] GateStats stats() const;
  [[nodiscard]] io::Stop& stop() { return stop_; }

 private:
  // Waits until it is the turn of this ticket in the allowance's line and its tokens are there.
  io::Task<> wait_for_allowance(Fare fare, std::uint64_t ticket);
  void finish(const Request& request, Outcome outcome,
              std::optional<std::chrono::milliseconds> retry_after, const BudgetHint& hint);
  // Takes a number in the log of sends, and sets `now` to the time of the send; or says when to try
  // again.
  SendLog::Place spend(TimePoint& now);
  void learn(const BudgetHint& hint, TimePoint now);

  io::Stop& stop_;
  Options options_;
  std::shared_ptr<Budget> budget_;
  ConcurrencyLimiter limiter_;
  // How many more may be sent before `left_until_`, by the last answer that told.
  std::size_t left_ = 0;
  TimePoint left_until_ = TimePoint::min();
  std::size_t in_flight_ = 0;
  // Tickets keep the order of arrival: the waiter whose ticket is `serving_` goes next.
  std::uint64_t next_ticket_ = 0;
  std::uint64_t serving_ = 0;
  GateStats stats_;
  TimePoint allowance_opens_at_ = TimePoint::min();  // for the first one in an allowance's line
  io::Event changed_;
  io::Stop::Listener stop_listener_;
};

}  // namespace sluice::flow
