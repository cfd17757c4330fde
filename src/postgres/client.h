// Client: a database, spoken to through a gate, with retries and a few connections.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "flow/attempt.h"
#include "flow/gate.h"
#include "io/stop.h"
#include "postgres/connection.h"
#include "postgres/target.h"
#include "telemetry/log.h"

namespace sluice::postgres {

// Runs calls on connections that are opened when they are needed, as many as calls may be in
// flight, and kept for the next ones.
//
// What counts as a request of the gate: opening a connection, and a call, which is one round trip
// mostly, and two or three for a COPY or a transaction that has to look first. Every try counts.
// Belongs to one loop.
class Client {
 public:
  struct Options {
    Target target;
    std::chrono::milliseconds timeout{60'000};  // of a call
    flow::Gate::Options gate;
    flow::RetryPolicy retry;
  };
  // What a call is, for messages and for what happens when it fails.
  struct Call {
    std::string doing;       // completes "while …"
    bool idempotent = true;  // it may be done twice
    bool divisible = false;  // a smaller one may succeed where it takes too long
    std::size_t bytes = 0;   // about what it carries: large ones take longer than small ones
  };

  // What is referred to must outlive the client.
  Client(io::Executor executor, io::Stop& stop, Log& log, Options options);

  // Runs `work(connection)`, a function that returns Task<Result<T>>, until it succeeds, its error
  // is final or the attempts are used up. Work that leaves a transaction open loses its connection,
  // and so is rolled back. What `work` refers to must stay valid until the task has ended.
  template <class Work>
  auto call(Call about, Work work) -> std::invoke_result_t<Work&, Connection&> {
    using Answer = typename std::invoke_result_t<Work&, Connection&>::value_type;
    auto once = [this, &about, &work]() -> io::Task<Answer> {
      auto lease = co_await enter(about);
      if (!lease) co_return std::unexpected(std::move(lease.error()));
      Answer answer = co_await work(*lease->connection);
      conclude(*lease, about, answer ? nullptr : &answer.error());
      co_return answer;
    };
    co_return co_await flow::attempt(retrier_, once);
  }

  [[nodiscard]] const Target& target() const { return options_.target; }

  struct Stats {
    flow::GateStats gate;
    std::uint64_t retries = 0;
    Connection::Traffic traffic;
    std::string trouble;  // see flow::Retrier
  };
  [[nodiscard]] Stats stats() const;

 private:
  struct Lease {
    flow::Gate::Pass pass;
    std::unique_ptr<Connection> connection;
    Connection::Traffic before;
    io::Clock::time_point begun;
  };
  // Waits for the gate, and for a connection if none is idle.
  io::Task<Result<Lease>> enter(const Call& about);
  void conclude(Lease& lease, const Call& about, Error* error);

  Options options_;
  io::Stop& stop_;
  Log& log_;
  flow::Gate gate_;
  flow::Retrier retrier_;
  std::vector<std::unique_ptr<Connection>> idle_;
  Connection::Traffic traffic_;
};

}  // namespace sluice::postgres
