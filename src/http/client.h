// Client: sends one HTTP request and returns its answer.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"
#include "io/stop.h"
#include "io/task.h"

namespace sluice::http {

class CurlMulti;

// An HTTP/1.1 and HTTP/2 client with pooled connections, for any number of requests at the same
// time. It neither waits for budgets nor repeats: what speaks to a service uses a Session, which
// puts a Gate and the retry policy before it. Every `send` is at most one request on the wire.
//
// HTTP/2 is spoken over TLS only. Bodies are decompressed. Redirects are answers, not followed,
// since a followed one would carry the credentials elsewhere. The environment's proxies are used,
// except for loopback addresses. Belongs to one loop.
class Client {
 public:
  struct Options {
    std::chrono::milliseconds connect_timeout{10'000};
    std::chrono::milliseconds timeout{60'000};  // the whole request, connecting included
    // A request or answer that has begun fails when no byte of it moves for this long.
    std::chrono::milliseconds stall{20'000};
    std::size_t largest_response = 128u << 20;  // bytes of a decoded body
    std::size_t idle_connections = 64;
    std::string user_agent = "sluice";
    std::string ca_file{};  // trusted instead of the system's certificates; empty: those
  };

  // What has gone over the wire, headers included, as far as it is known.
  struct Traffic {
    std::uint64_t requests = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t bytes_received = 0;
  };

  // `stop`, which outlives the client: once it is abandoned, the requests under way are cut, with
  // their connections. None: they end by themselves only.
  Client(io::Executor executor, Options options, io::Stop* stop = nullptr);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Any complete answer is a success, whatever its status. The error's retry class is `again` for
  // what may pass, and does not consider whether the request may be repeated: see Failure::fate.
  // A request that is cut fails with Stop::given_up.
  // `request` must stay valid until the task has ended. Destroying the task aborts the request.
  io::Task<std::expected<Response, Failure>> send(const Request& request);

  [[nodiscard]] const Traffic& traffic() const { return traffic_; }

 private:
  Options options_;
  io::Stop* stop_;
  Traffic traffic_;
  std::shared_ptr<CurlMulti> multi_;
};

// Whether `url` names this machine's loopback: the only place where a secret may go in the clear.
[[nodiscard]] bool is_loopback_url(std::string_view url);

}  // namespace sluice::http
