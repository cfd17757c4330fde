// Client: a Redis server with a pool of connections to it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "flow/attempt.h"
#include "flow/gate.h"
#include "redis/connection.h"
#include "telemetry/log.h"

namespace sluice::redis {

// What is known of a round trip besides its commands.
struct RoundTrip {
  std::string_view doing;      // completes "while …", for messages
  bool divisible = false;      // the caller can do the same with fewer keys
  std::size_t most_bytes = 0;  // of the replies, on the wire
};

// Makes round trips to one server, any number at the same time: each takes a connection that is
// idle, or opens one. So there are as many connections as round trips under way, which the gate
// limits. Belongs to one loop.
//
// A round trip counts as one request to the gate, whatever number of commands it carries; the
// greeting of a new connection counts with the round trip that needed it.
class Client {
 public:
  // A connection for several round trips that belong together (WATCH … EXEC), taken by the first of
  // them. Goes back into the pool at the end, unless a round trip failed or `discard` was called.
  class Lease {
   public:
    explicit Lease(Client& client) : client_(client) {}
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    // One round trip, through the gate and not repeated.
    io::Task<Result<Replies>> round_trip(const Commands& commands, const RoundTrip& about);
    // Requires a round trip.
    [[nodiscard]] const ServerFacts& server() const { return connection_->server(); }
    // For a connection that holds a state that nobody else may inherit.
    void discard() { connection_.reset(); }

   private:
    io::Task<Result<Replies>> carry(const Commands& commands, std::size_t most_bytes, bool& opened);

    Client& client_;
    std::unique_ptr<Connection> connection_;
  };

  // What is referred to must outlive the client.
  Client(io::Executor executor, flow::Gate& gate, flow::Retrier& retrier, Log& log,
         Connection::Options options);

  // One round trip, repeated until `judge` accepts its replies: a function
  // `Result<T>(Replies&, const ServerFacts&)`, called once for each time they are complete. What is
  // referred to must stay valid until the task has ended.
  template <class Judge>
  io::Task<std::invoke_result_t<Judge&, Replies&, const ServerFacts&>> call(
      const Commands& commands, RoundTrip about, Judge judge) {
    using Answer = std::invoke_result_t<Judge&, Replies&, const ServerFacts&>;
    auto once = [this, &commands, &about, &judge]() -> io::Task<Answer> {
      Lease lease(*this);
      Result<Replies> replies = co_await lease.round_trip(commands, about);
      if (!replies) co_return std::unexpected(std::move(replies.error()));
      co_return judge(*replies, lease.server());
    };
    co_return co_await flow::attempt(retrier_, once);
  }

  // The same for what takes several round trips on one connection: `operation` is a function
  // `Task<Result<T>>(Lease&)`, which is begun again from its start.
  template <class Operation>
  auto call_with_lease(Operation operation) -> std::invoke_result_t<Operation&, Lease&> {
    auto once = [this, &operation]() -> std::invoke_result_t<Operation&, Lease&> {
      Lease lease(*this);
      co_return co_await operation(lease);
    };
    co_return co_await flow::attempt(retrier_, once);
  }

  // So far.
  [[nodiscard]] const Traffic& traffic() const { return traffic_; }
  [[nodiscard]] const Address& address() const { return options_.address; }

 private:
  std::unique_ptr<Connection> take_idle();

  io::Executor executor_;
  flow::Gate& gate_;
  flow::Retrier& retrier_;
  Log& log_;
  Connection::Options options_;
  Traffic traffic_;
  Connection::SharedTls tls_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

}  // namespace sluice::redis
