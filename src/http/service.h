// Service: what a server does with requests.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "http/server_message.h"
#include "io/task.h"

namespace sluice::http {

// Why a connection refuses what has been sent, before any handler sees it.
struct Refusal {
  int status = 400;           // 400, 408, 413, 414, 431, 501, 503 or 505
  std::string_view sentence;  // a literal, for the client
};

// What a connection tells of a request that it has answered.
struct Served {
  const ServerRequest& request;
  const ServerResponse& response;
  std::uint64_t bytes_received = 0;  // of the body
  std::uint64_t bytes_sent = 0;      // of the body
  io::Clock::duration time{};  // from the end of the head to the last byte handed to the kernel
};

// One connection's side of a service. Its calls come one after the other.
class Conversation {
 public:
  virtual ~Conversation() = default;

  // A head has come. How many bytes its body may have; or an answer at once, and the body is not
  // read.
  virtual std::expected<std::uint64_t, ServerResponse> admit(ServerRequest& request) = 0;

  // Answers the request that was admitted last, whose body has been read by now. What a client can
  // cause is an answer, never an exception.
  virtual io::Task<ServerResponse> respond(ServerRequest& request) = 0;

  // The answer to what is no request that can be served; the connection ends with it.
  virtual ServerResponse refuse(const ServerRequest& request, const Refusal& refusal) = 0;

  // A request has been answered (refused ones included), or its answer could not be sent
  // (bytes_sent is 0 then): for logs and metrics.
  virtual void served(const Served& served) = 0;
};

// Answers the requests of all connections of one loop. Belongs to that loop and outlives its
// conversations.
class Service {
 public:
  virtual ~Service() = default;
  // `peer`: "127.0.0.1:4711".
  virtual std::unique_ptr<Conversation> begin(std::string peer) = 0;
  // A connection has ended with an exception: no memory, or a broken invariant. For the log.
  virtual void broke(std::string_view what) { (void)what; }
  // The grace for running handlers is over: what they wait for shall end soon.
  virtual void give_up() {}
};

}  // namespace sluice::http
