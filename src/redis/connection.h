// Connection: one connection to a Redis server.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/secret.h"
#include "io/stop.h"
#include "io/task.h"
#include "redis/commands.h"
#include "redis/replies.h"

namespace sluice::redis {

struct Address {
  std::string host;
  std::uint16_t port = 6379;
  bool tls = false;
  std::string ca_file{};  // trusted instead of the system's certificates; empty: those
  std::string user{};     // empty: the server's user "default"
  Secret password{};      // empty: no AUTH is sent
  std::uint32_t database = 0;
};

// What has gone over the wire, without TCP and TLS.
struct Traffic {
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
};

// What the server says about itself; empty if it does not.
struct ServerFacts {
  // Differs for each start of each server: a cursor of SCAN means nothing to another one, whose
  // hash function has another seed.
  std::string run_id;
};

// A TCP connection, with TLS if asked for (certificate and name verified, TLS 1.2 or newer), that
// has been authenticated and has its database selected. Carries one round trip at a time. After an
// error it is of no use any more. Belongs to one loop.
class Connection {
 public:
  struct Options {
    Address address;
    std::chrono::milliseconds connect_timeout{10'000};  // name, TCP and TLS, and the greeting
    std::chrono::milliseconds timeout{60'000};          // a round trip
  };

  // What TLS connections share: reading the system's certificates takes some milliseconds. Made by
  // the first of them.
  struct Tls;
  using SharedTls = std::shared_ptr<Tls>;

  // Connects and greets. Errors: network, timeout (both may pass); unauthorized, not_found (the
  // database), unsupported, which are fatal for a run. None of them holds the password. A
  // requested stop ends it with its reason; once the stop is abandoned, every round trip under way
  // ends with Stop::given_up. `options`, `stop`,
  // `tls` and `traffic` outlive the connection.
  static io::Task<Result<std::unique_ptr<Connection>>> open(io::Executor executor,
                                                            const Options& options, io::Stop& stop,
                                                            SharedTls& tls, Traffic& traffic);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Writes the commands and reads a reply to each, of at most `most_bytes` in all. Error replies
  // are replies, not errors. Fails with network, timeout, protocol or too_large.
  io::Task<Result<Replies>> round_trip(const Commands& commands, std::size_t most_bytes);

  // Whether it can carry a round trip, as far as is known here: it is open, the server has not
  // closed it, and nothing has arrived that nobody asked for.
  [[nodiscard]] bool usable();
  [[nodiscard]] const ServerFacts& server() const { return server_; }

 private:
  class Transport;
  Connection(io::Executor executor, const Options& options, io::Stop& stop, Traffic& traffic);
  io::Task<Result<>> connect(SharedTls& tls);
  io::Task<Result<>> greet();
  io::Task<Result<Replies>> exchange(const Commands& commands, std::size_t most_bytes,
                                     std::chrono::milliseconds timeout);
  [[nodiscard]] std::string place() const;
  // What the server said, without the password: an unknown AUTH comes back with its arguments.
  [[nodiscard]] std::string without_password(std::string_view said) const;
  [[nodiscard]] Error given_up() const;

  io::Executor executor_;
  const Options& options_;
  io::Stop& stop_;
  Traffic& traffic_;
  std::unique_ptr<Transport> transport_;
  ReplyReader reader_;
  ServerFacts server_;
  bool broken_ = true;
};

}  // namespace sluice::redis
