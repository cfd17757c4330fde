// The controller by table; the limiter against a modelled service, in virtual time.
#include "flow/concurrency.h"

#include <gtest/gtest.h>

#include <functional>
#include <queue>
#include <random>
#include <vector>

namespace sluice::flow {
namespace {

using namespace std::chrono_literals;
using Phase = Concurrency::Phase;

const TimePoint kStart{1000s};

// --- The controller ------------------------------------------------------------------------------

TEST(ConcurrencyController, Table) {
  struct Row {
    std::string_view what;
    Concurrency before;
    Round round;
    Concurrency after;
  };
  const auto climbing = [](double limit, double threshold = 50) {
    return Concurrency{.limit = limit, .threshold = threshold};
  };
  const auto steady = [](double limit) {
    return Concurrency{.limit = limit, .phase = Phase::steady, .threshold = 50};
  };
  const auto probing = [](double limit, double resume, double before) {
    return Concurrency{.limit = limit,
                       .phase = Phase::probing,
                       .threshold = 50,
                       .resume = resume,
                       .before_probe = before};
  };
  const auto failing = [&](double limit, double threshold) {
    Concurrency state = climbing(limit, threshold);
    state.failing = true;
    return state;
  };
  const Round good{.inflation = 1.1, .used_up = true};
  const Round slow{.inflation = 2.0, .used_up = true};
  const Round idle{.inflation = 1.1};
  const Round bad{.failed = true};
  for (const Row& row : {
           Row{"doubles", climbing(4), good, climbing(8)},
           Row{"not used up: nothing is known", climbing(4), idle, climbing(4)},
           Row{"up to the threshold",
               climbing(8, 12),
               good,
               {.limit = 12, .phase = Phase::steady, .threshold = 12}},
           Row{"up to the maximum", climbing(32), good, steady(50)},
           Row{"a queue ends the climb", climbing(16), slow, probing(8, 12, 8)},
           Row{"one more a round", steady(10), good, steady(11)},
           Row{"never beyond the maximum", steady(50), good, steady(50)},
           Row{"holds near the knee", steady(10), {.inflation = 1.4, .used_up = true}, steady(10)},
           Row{"eases off", steady(10), slow, steady(7.5)},
           Row{"at most by so much", steady(10), {.inflation = 4, .used_up = true}, steady(7)},
           Row{"never below one", steady(1), slow, steady(1)},
           Row{"slow, but not by our doing", steady(10), {.inflation = 4}, steady(10)},
           Row{"a period ends",
               steady(13),
               {.inflation = 1.4, .used_up = true, .period_over = true},
               probing(6, 13, 1.4)},
           Row{"at the maximum there is nothing to find out",
               steady(50),
               {.inflation = 1.1, .used_up = true, .period_over = true},
               steady(50)},
           Row{"there was a queue: look on",
               probing(6, 13, 1.4),
               {.inflation = 1.0, .used_up = true},
               probing(3, 13, 1.0)},
           Row{"there was none: go back",
               probing(6, 13, 1.4),
               {.inflation = 1.3, .used_up = true},
               {.limit = 13,
                .phase = Phase::steady,
                .threshold = 50,
                .resume = 13,
                .before_probe = 1.4}},
           Row{"halves", steady(10), bad, failing(5, 5)},
           Row{"a probe that fails halves the whole",
               probing(6, 12, 1.4),
               bad,
               {.limit = 6, .threshold = 6, .resume = 12, .before_probe = 1.4, .failing = true}},
           Row{"an outage halves again, and the threshold stays", failing(5, 5), bad,
               failing(2, 5)},
           Row{"down to one", failing(1, 5), bad, failing(1, 5)},
           Row{"recovers by climbing", failing(2, 5), good, climbing(4, 5)},
       }) {
    Concurrency after = next(row.before, row.round, 50);
    EXPECT_EQ(after.limit, row.after.limit) << row.what;
    EXPECT_EQ(after.phase, row.after.phase) << row.what;
    EXPECT_EQ(after.threshold, row.after.threshold) << row.what;
    EXPECT_EQ(after.resume, row.after.resume) << row.what;
    EXPECT_EQ(after.before_probe, row.after.before_probe) << row.what;
    EXPECT_EQ(after.failing, row.after.failing) << row.what;
  }
}

TEST(ConcurrencyController, StartsLowAndWithinTheMaximum) {
  EXPECT_EQ(initial_concurrency(10).limit, 4);
  EXPECT_EQ(initial_concurrency(2).limit, 2);
  EXPECT_EQ(initial_concurrency(0).limit, 1);
  EXPECT_EQ(ConcurrencyLimiter(0).limit(), 1u);
}

TEST(RequestKind, TellsRoutesAndSizesApart) {
  EXPECT_EQ(request_kind("PUT bulk", 10), request_kind("PUT bulk", 4000));
  EXPECT_NE(request_kind("PUT bulk", 10), request_kind("GET keys", 10));
  EXPECT_NE(request_kind("PUT bulk", 10'000), request_kind("PUT bulk", 1'000'000));
  EXPECT_EQ(request_kind("PUT bulk", 1'100'000), request_kind("PUT bulk", 1'500'000));
  EXPECT_NE(request_kind("PUT bulk", 1'100'000), request_kind("PUT bulk", 1'600'000));
}

TEST(ConcurrencyLimiter, TheFailuresOfOneOverloadCountOnce) {
  ConcurrencyLimiter limiter(16);
  TimePoint now = kStart;
  while (limiter.limit() < 16) limiter.observe({.sent = now - 10ms, .in_flight = 16}, now += 1ms);
  const TimePoint sent = now;
  for (int i = 0; i < 16; ++i) {
    limiter.observe({.sent = sent, .failed = true, .in_flight = 16}, now += 1ms);
  }
  EXPECT_EQ(limiter.limit(), 8u);
  limiter.observe({.sent = now, .failed = true, .in_flight = 8}, now + 1ms);
  EXPECT_EQ(limiter.limit(), 4u);
}

// --- Against a modelled service
// --------------------------------------------------------------------

// A kind of request: how long the service works on one, on average, and by how much that varies (a
// part of it, evenly).
struct Work {
  RequestKind kind = 0;
  double seconds = 0.03;
  double jitter = 0;
};

// A service with so many workers, each working on one request at a time; others queue. What waits
// longer than `patience` fails, and while there is an outage, everything does.
struct Service {
  std::size_t workers = 8;
  double network = 0;  // seconds of a round trip, without queueing
  double patience = 1e9;
  std::function<bool(double)> outage = [](double) { return false; };
};

// What a job saw of it, from its beginning or the last `forget` on.
struct Report {
  double seconds = 0;
  std::size_t done = 0;
  std::size_t failed = 0;
  double at_rest = 0;    // seconds that the requests would have taken without a queue
  double waited = 0;     // seconds in the service's queue
  double in_flight = 0;  // integral over time
  double limit = 0;      // integral over time

  [[nodiscard]] double throughput() const { return static_cast<double>(done) / seconds; }
  [[nodiscard]] double queueing() const { return waited / at_rest; }
  [[nodiscard]] double mean_in_flight() const { return in_flight / seconds; }
  [[nodiscard]] double mean_limit() const { return limit / seconds; }
};

// A job that always has another request to send, against a service; by discrete events.
class Simulation {
 public:
  Simulation(Service service, std::size_t maximum, std::uint64_t seed = 1)
      : service_(std::move(service)), limiter(maximum), random_(seed) {}

  // Runs until `done` requests more have been answered well, or for so many seconds.
  void run(const std::vector<Work>& mix, std::size_t done, double seconds = 1e9) {
    const double until = now_ + seconds;
    const std::size_t goal = report.done + done;
    while (report.done < goal && now_ < until) {
      const std::size_t left = goal - report.done;
      while (in_flight_ < limiter.limit() && in_flight_ < left) send(mix);
      step(until);
    }
  }
  void forget() { report = {}; }
  Service& service() { return service_; }
  [[nodiscard]] double now() const { return now_; }

 private:
  struct Request {
    double sent = 0;
    double arrives = 0;
    Work work;
  };
  struct End {
    double at = 0;
    bool failed = false;
    Request request;
    bool operator>(const End& other) const { return at > other.at; }
  };

  void send(const std::vector<Work>& mix) {
    const Work work = mix[sent_++ % mix.size()];
    Request request{.sent = now_, .arrives = now_ + service_.network / 2, .work = work};
    ++in_flight_;
    if (workers_.size() < service_.workers) workers_.push(0);
    while (workers_.size() > service_.workers) workers_.pop();
    if (service_.outage(now_)) {
      ends_.push({now_ + 0.005, true, request});
      return;
    }
    // First come, first served: the request gets the worker that is free first.
    const double free = workers_.top();
    const double begins = std::max(request.arrives, free);
    if (begins - request.arrives > service_.patience) {
      ends_.push({request.sent + service_.patience, true, request});
      return;
    }
    const double takes =
        work.seconds * std::uniform_real_distribution(1 - work.jitter, 1 + work.jitter)(random_);
    workers_.pop();
    workers_.push(begins + takes);
    report.waited += begins - request.arrives;
    report.at_rest += takes + service_.network;
    ends_.push({begins + takes + service_.network / 2, false, request});
  }

  void step(double until) {
    const double at = std::min(until, ends_.top().at);
    const double passed = at - now_;
    report.seconds += passed;
    report.in_flight += passed * static_cast<double>(in_flight_);
    report.limit += passed * static_cast<double>(limiter.limit());
    now_ = at;
    if (at < ends_.top().at) return;
    const End end = ends_.top();
    ends_.pop();
    limiter.observe({.kind = end.request.work.kind,
                     .sent = point(end.request.sent),
                     .failed = end.failed,
                     .in_flight = in_flight_},
                    point(now_));
    --in_flight_;
    ++(end.failed ? report.failed : report.done);
  }

  static TimePoint point(double seconds) {
    return kStart + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  }

  Service service_;

 public:
  ConcurrencyLimiter limiter;
  Report report;

 private:
  std::mt19937_64 random_;
  double now_ = 0;
  std::size_t sent_ = 0;
  std::size_t in_flight_ = 0;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  std::priority_queue<double, std::vector<double>, std::greater<>> workers_;
};

TEST(ConcurrencySimulation, SettlesNearTheKnee) {
  for (const std::size_t workers : {1u, 2u, 4u, 8u, 16u, 30u}) {
    for (const double jitter : {0.0, 0.2, 0.5}) {
      for (const double network : {0.0, 0.02}) {
        for (const std::uint64_t seed : {1u, 2u}) {
          SCOPED_TRACE(fmt::format("{} workers, jitter {}, network {}, seed {}", workers, jitter,
                                   network, seed));
          Simulation simulation({.workers = workers, .network = network}, 50, seed);
          const std::vector<Work> work{{.seconds = 0.03, .jitter = jitter}};
          simulation.run(work, 100'000, 5);
          simulation.forget();
          simulation.run(work, 1'000'000, 60);
          const double capacity = static_cast<double>(workers) / 0.03;
          EXPECT_GE(simulation.report.throughput(), 0.9 * capacity);
          EXPECT_LE(simulation.report.queueing(), 1.0);
        }
      }
    }
  }
}

// The start, too: with a maximum of 50 on a service that stands 8, the climb must not flood it.
TEST(ConcurrencySimulation, FindsTheKneeSoon) {
  Simulation simulation({.workers = 8}, 50);
  simulation.run({{.seconds = 0.03, .jitter = 0.2}}, 400);
  EXPECT_LE(simulation.report.queueing(), 1.2);
  EXPECT_GE(simulation.report.throughput(), 0.8 * 8 / 0.03);
  EXPECT_LT(simulation.limiter.limit(), 18u);
}

TEST(ConcurrencySimulation, JitterAloneLowersNothing) {
  for (const double jitter : {0.2, 0.5, 0.9}) {
    for (const std::uint64_t seed : {1u, 2u, 3u, 4u, 5u}) {
      SCOPED_TRACE(fmt::format("jitter {}, seed {}", jitter, seed));
      Simulation simulation({.workers = 1000}, 10, seed);
      simulation.run({{.seconds = 0.1, .jitter = jitter}}, 200);
      if (jitter <= 0.5) EXPECT_EQ(simulation.limiter.limit(), 10u);
      simulation.forget();
      simulation.run({{.seconds = 0.1, .jitter = jitter}}, 100'000, 300);
      EXPECT_GE(simulation.report.mean_limit(), 9.5);
    }
  }
}

// A job of 100 batches took ten round trips when the limit began at its maximum.
TEST(ConcurrencySimulation, AShortJobTakesFewRoundTripsMore) {
  for (const double jitter : {0.0, 0.5}) {
    Simulation simulation({.workers = 1000}, 10);
    simulation.run({{.seconds = 1, .jitter = jitter}}, 100);
    EXPECT_LE(simulation.report.seconds, jitter == 0 ? 11.01 : 13) << jitter;
  }
}

TEST(ConcurrencySimulation, SlowAndFastKindsDoNotLookLikeInflation) {
  const std::vector<Work> mix{{.kind = 1, .seconds = 0.03, .jitter = 0.3},
                              {.kind = 2, .seconds = 2.0, .jitter = 0.3},
                              {.kind = 1, .seconds = 0.03, .jitter = 0.3}};
  Simulation simulation({.workers = 1000}, 10);
  simulation.run(mix, 300);
  EXPECT_EQ(simulation.limiter.limit(), 10u);
  simulation.forget();
  simulation.run(mix, 100'000, 600);
  EXPECT_GE(simulation.report.mean_limit(), 9.5);
}

// As a job runs: pages first, one after the other, and then large batches beside them.
TEST(ConcurrencySimulation, AKindThatComesLaterIsMeasuredByItself) {
  Simulation simulation({.workers = 1000}, 10);
  simulation.run({{.kind = 1, .seconds = 0.03}}, 200);
  simulation.run({{.kind = 2, .seconds = 2.0}}, 100);
  EXPECT_EQ(simulation.limiter.limit(), 10u);
}

TEST(ConcurrencySimulation, AnOutageHalvesAndItRecovers) {
  Simulation simulation({.workers = 12}, 50);
  const std::vector<Work> work{{.seconds = 0.03, .jitter = 0.3}};
  simulation.run(work, 1'000'000, 20);
  const std::size_t before = simulation.limiter.limit();
  ASSERT_GE(before, 12u);
  const double fails_until = simulation.now() + 0.5;
  simulation.service().outage = [=](double now) { return now < fails_until; };
  simulation.run(work, 1'000'000, 0.004);
  simulation.run(work, 1'000'000, 0.4);
  EXPECT_EQ(simulation.limiter.limit(), 1u);
  // Half of what stood before is there after a few round trips; all of it a little later.
  simulation.run(work, 1'000'000, 0.1 + 6 * 0.045);
  EXPECT_GE(simulation.limiter.limit(), before / 2 - 1);
  simulation.run(work, 1'000'000, 30 * 0.045);
  simulation.forget();
  simulation.run(work, 1'000'000, 20);
  EXPECT_GE(simulation.report.throughput(), 0.9 * 12 / 0.03);
  EXPECT_LE(simulation.report.queueing(), 1.0);
}

// The service loses or gains workers, or becomes slower by itself: it settles at the new knee.
TEST(ConcurrencySimulation, FollowsAServiceThatChanges) {
  Simulation simulation({.workers = 16}, 50);
  std::vector<Work> work{{.seconds = 0.03, .jitter = 0.3}};
  simulation.run(work, 1'000'000, 20);
  const auto settled = [&](double capacity) {
    simulation.run(work, 1'000'000, 40);
    simulation.forget();
    simulation.run(work, 1'000'000, 40);
    EXPECT_GE(simulation.report.throughput(), 0.9 * capacity);
    EXPECT_LE(simulation.report.queueing(), 1.0);
  };
  simulation.service().workers = 5;
  settled(5 / 0.03);
  simulation.service().workers = 20;
  settled(20 / 0.03);
  work[0].seconds = 0.2;
  settled(20 / 0.2);
  work[0].seconds = 0.01;
  settled(20 / 0.01);
}

// A service that gives up on what waits too long: the limit finds a place where little of it does.
TEST(ConcurrencySimulation, TimeOutsAreRare) {
  Simulation simulation({.workers = 4, .patience = 0.1}, 50);
  const std::vector<Work> work{{.seconds = 0.05, .jitter = 0.5}};
  simulation.run(work, 1'000'000, 10);
  simulation.forget();
  simulation.run(work, 1'000'000, 60);
  EXPECT_LE(simulation.report.failed, simulation.report.done / 100);
  EXPECT_GE(simulation.report.throughput(), 0.9 * 4 / 0.05);
}

}  // namespace
}  // namespace sluice::flow
