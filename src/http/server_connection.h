// serve_connection: serves one accepted connection of HTTP/1.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>

#include "http/connection_table.h"
#include "http/memory_budget.h"
#include "http/request_parser.h"
#include "http/service.h"
#include "io/task.h"

namespace boost::asio::ssl {
class context;
}

namespace sluice::http {

using ServerSocket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, io::Executor>;

// How long a client may take. A body, in either direction, gets its time and what it needs at the
// least rate: so a slow client is served, and one that stands still is left.
struct ServerTimes {
  std::chrono::milliseconds idle{75'000};  // between two requests
  std::chrono::milliseconds header{
      15'000};  // from the first byte of a request to the end of its head
  std::chrono::milliseconds body{30'000};
  std::uint64_t least_rate = 16 * 1024;    // bytes a second
  std::chrono::milliseconds room{10'000};  // the wait for room in the MemoryBudget
};

// What the connections of a loop have in common. All that is referred to outlives them.
struct ServerSetting {
  ConnectionTable& table;
  Service& service;
  MemoryBudget& memory;
  RequestParser::Limits limits{};
  ServerTimes times{};
  boost::asio::ssl::context* tls = nullptr;  // null: plain text
};

// Reads requests, pipelined ones too, hands them to the service one by one, and writes its answers
// in their order. Ends when the client closes, is too slow or sends what cannot be read, and when
// the table stops. Never throws.
io::Task<> serve_connection(ServerSocket socket, ServerSetting& setting);

}  // namespace sluice::http
