// ServerConnection: serves one accepted connection of HTTP/1.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>

#include "http/memory_budget.h"
#include "http/request_parser.h"
#include "http/service.h"
#include "io/task.h"

namespace boost::asio::ssl {
class context;
}

namespace sluice::http {

using ServerSocket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, io::Executor>;

// How long a client may take. A body, in either direction, gets its time and what it needs at
// `least_rate`; so a slow client is served, and one that stands still is left.
struct ServerTimes {
  std::chrono::milliseconds idle{75'000};    // between two requests
  std::chrono::milliseconds header{15'000};  // from the first byte of a request to the end of its head
  std::chrono::milliseconds body{30'000};
  std::uint64_t least_rate = 16 * 1024;  // bytes a second
  std::chrono::milliseconds room{10'000};  // the wait for room in the MemoryBudget
};

// The connections of one loop, watched by a single coarse timer: a timer for each read would cost
// more than the read. Also how they are counted and ended. Belongs to the loop.
class ConnectionTable {
 public:
  explicit ConnectionTable(io::Executor executor) : timer_(executor) {}
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;

  // A connection's place in the table.
  struct Place {
    io::Clock::time_point deadline = io::Clock::time_point::max();
    bool idle = false;     // between two requests: may be closed without a loss
    bool expired = false;  // its deadline has passed; what it waits for was cancelled
    std::function<void()> cancel;  // ends what it waits for
  };

  // Cancels what has passed its deadline, until it is stopped. Within kTick of the deadline.
  io::Task<> watch();
  static constexpr std::chrono::milliseconds kTick{250};
  // The time of the last tick: near enough for deadlines of seconds, and free.
  [[nodiscard]] io::Clock::time_point now() const { return now_; }

  // No further request is read: idle connections end at once, the others with their next answer.
  void stop();
  [[nodiscard]] bool stopping() const { return stopping_; }
  // Ends all of them now.
  void abort();
  // Ends the one that has been idle for longest, to make room. False: none is idle.
  bool drop_idle();
  [[nodiscard]] std::size_t size() const { return places_.size(); }

 private:
  friend class ServerConnection;
  std::list<Place> places_;
  io::Clock::time_point now_ = io::Clock::now();
  bool stopping_ = false;
  io::Timer timer_;
};

// What the connections of a loop have in common; all of it outlives them.
struct ServerSetting {
  ConnectionTable& table;
  Service& service;
  MemoryBudget& memory;
  RequestParser::Limits limits{};
  ServerTimes times{};
  boost::asio::ssl::context* tls = nullptr;  // null: plain text
};

// Reads requests (pipelined ones, too), hands them to the service one by one, and writes its
// answers in order. Ends when the client closes, is too slow, or asks for what cannot be read; and
// when the table stops. Never throws.
io::Task<> serve_connection(ServerSocket socket, ServerSetting& setting);

}  // namespace sluice::http
