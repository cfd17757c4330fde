#include "postgres/client.h"

#include <random>

namespace sluice::postgres {

namespace {}  // namespace

Client::Client(io::Executor executor, io::Stop& stop, Log& log, Options options)
    : options_(std::move(options)),
      stop_(stop),
      log_(log),
      gate_(executor, stop, options_.gate),
      retrier_(stop, options_.retry, std::random_device{}()) {}

io::Task<Result<Client::Lease>> Client::enter(const Call& about) {
  // Others may take what is opened here, but no more often than calls may be in flight.
  const std::size_t most_opened = options_.gate.concurrency + 8;
  for (std::size_t opened_here = 0;; ++opened_here) {
    auto pass = co_await gate_.enter(flow::request_kind(about.doing, about.bytes));
    if (!pass) co_return std::unexpected(std::move(pass.error()));
    const auto now = io::Clock::now();
    while (!idle_.empty()) {
      std::unique_ptr<Connection> connection = std::move(idle_.back());
      idle_.pop_back();
      if (!connection->reusable()) continue;
      connection->begin(about.doing, now + options_.timeout);
      const Connection::Traffic before = connection->traffic();
      co_return Lease{std::move(*pass), std::move(connection), before, now};
    }
    if (opened_here > most_opened) {
      pass->finish(flow::Outcome::broken);
      co_return fail(ErrorCode::network, Retry::again,
                     "{} ends connections as soon as they are made. Check the server and what "
                     "stands before it.",
                     options_.target.description);
    }
    // Whoever is next takes the new connection, and so there are never more of them than calls that
    // the gate lets in.
    auto opened = co_await Connection::open(options_.target, log_, stop_, now + options_.timeout);
    // How long it took to open one tells nothing about the load.
    pass->finish(opened ? flow::Outcome::other : flow::outcome_of(&opened.error()));
    if (!opened) co_return std::unexpected(std::move(opened.error()));
    log_.debug("connected to {}", options_.target.description);
    idle_.push_back(std::move(*opened));
  }
}

void Client::conclude(Lease& lease, const Call& about, Error* error) {
  Connection& connection = *lease.connection;
  traffic_.sent += connection.traffic().sent - lease.before.sent;
  traffic_.received += connection.traffic().received - lease.before.received;
  if (log_.enabled(LogLevel::debug)) {
    const auto took =
        std::chrono::duration_cast<std::chrono::milliseconds>(io::Clock::now() - lease.begun);
    const std::int64_t milliseconds = took.count();
    const std::string_view ending = error == nullptr ? "done" : std::string_view(error->message);
    log_.debug("PostgreSQL: {}: {} in {} ms", about.doing, ending, milliseconds);
  }
  if (error != nullptr) {
    if (error->code == ErrorCode::timeout && error->retry == Retry::again && about.divisible) {
      error->retry = Retry::smaller;
    }
    // An error that the server tells has undone the transaction.
    const bool unknown = connection.sqlstate().empty() && connection.may_have_sent();
    // A stop that was abandoned: see Connection::open.
    const bool cut = error->code == ErrorCode::deadline || error->code == ErrorCode::interrupted;
    if ((error->retry == Retry::again || cut) && !about.idempotent && unknown) {
      error->retry = Retry::never;
      error->message += " It is not known whether it was carried out; look before you repeat it.";
    }
  }
  lease.pass.finish(flow::outcome_of(error));
  if (connection.reusable()) idle_.push_back(std::move(lease.connection));
}

Client::Stats Client::stats() const {
  return {.gate = gate_.stats(),
          .retries = retrier_.retries,
          .traffic = traffic_,
          .trouble = retrier_.trouble()};
}

}  // namespace sluice::postgres
