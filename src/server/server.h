// Server: loops, listening sockets and connections.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/error.h"
#include "http/memory_budget.h"
#include "http/server_connection.h"
#include "http/service.h"
#include "io/task.h"
#include "server/listen_address.h"
#include "telemetry/log.h"

namespace sluice::server {

// Serves HTTP from one event loop a thread, each with a listening socket of its own on the same
// port (SO_REUSEPORT: the kernel spreads the connections) and a service of its own, so that
// nothing is shared between them but what the services share on purpose. Used from the thread that
// started it.
class Server {
 public:
  struct Options {
    ListenAddress listen;
    std::size_t threads = 1;
    // Of all loops together, each of which has an equal share and one at least. At the limit, or
    // when no descriptor is left, the connection that has been idle for longest makes room for a
    // new one; if none is idle, new ones wait to be accepted.
    std::size_t connections = 20'000;
    std::uint64_t body_memory = 256u << 20;  // bytes that large bodies may hold (MemoryBudget)
    http::RequestParser::Limits limits{};
    http::ServerTimes times{};
    std::shared_ptr<boost::asio::ssl::context> tls;  // none: plain text
  };

  // What a loop is given to build its service from.
  struct Surroundings {
    io::Loop& loop;
    http::MemoryBudget& memory;
  };
  // Called once for each loop, on the calling thread, before the loop runs.
  using MakeService = std::function<Result<std::unique_ptr<http::Service>>(const Surroundings&)>;

  // Listens, then starts the threads. Fails when the address is taken or not this machine's, or
  // when a service cannot be made. `log` outlives the server.
  static Result<std::unique_ptr<Server>> start(const Options& options,
                                               const MakeService& make_service, Log& log);
  // Stops without grace, and waits for the handlers that are running.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // With the port that was taken.
  [[nodiscard]] const ListenAddress& address() const { return listen_; }

  // Accepts no more, ends idle connections, lets the others have their answer, for `grace` at most;
  // then closes what is left. Blocks until all handlers have ended. True: within the grace, so
  // every request that was begun has been answered. The second time does nothing.
  bool stop(std::chrono::milliseconds grace);

 private:
  class LoopThread;
  explicit Server(const Options& options);

  ListenAddress listen_;
  http::MemoryBudget memory_;
  std::shared_ptr<boost::asio::ssl::context> tls_;
  std::vector<std::unique_ptr<LoopThread>> loops_;
};

}  // namespace sluice::server
