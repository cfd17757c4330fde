#include "tests/cloudflare/fake.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstring>
#include <ctime>
#include <mutex>
#include <thread>

#include "io/task.h"

namespace sluice::cloudflare_fake {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using io::Task;
using io::use_task;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, io::Executor>;
using Socket = asio::basic_stream_socket<asio::ip::tcp, io::Executor>;

// A little more than the service's limit of 100 MB, so that the limit is answered and not cut.
constexpr std::uint64_t body_limit = 128u << 20;

std::string text(boost::beast::string_view view) {
  return {view.data(), view.size()};
}

http::response<http::string_body> make_response(Answer& answer, bool keep_alive) {
  http::response<http::string_body> response;
  response.version(11);
  response.result(static_cast<unsigned>(answer.status));
  response.set(http::field::server, "cloudflare");
  response.set(http::field::content_type, answer.content_type);
  for (const auto& [name, value] : answer.headers) response.set(name, value);
  response.keep_alive(keep_alive);
  response.body() = answer.body;
  response.prepare_payload();
  return response;
}

// When the first byte that waits in the socket arrived, as the kernel knows: this thread may have
// been busy with another request since then, and a late look would make a request that was in time
// seem to break a Retry-After.
Clock::time_point arrival(Socket& socket) {
  const Clock::time_point now = Clock::now();
  timespec wall{};
  clock_gettime(CLOCK_REALTIME, &wall);
  char byte = 0;
  iovec into{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(timespec))];
  msghdr message{};
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (::recvmsg(socket.native_handle(), &message, MSG_PEEK | MSG_DONTWAIT) <= 0) return now;
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec stamp{};
    std::memcpy(&stamp, CMSG_DATA(at), sizeof(stamp));
    const auto age = std::chrono::seconds(wall.tv_sec - stamp.tv_sec) +
                     std::chrono::nanoseconds(wall.tv_nsec - stamp.tv_nsec);
    return now - std::max(age, std::chrono::nanoseconds(0));
  }
  return now;
}

}  // namespace

struct FakeCloudflare::Server {
  explicit Server(const Options& options)
      : api(options),
        latency(options.latency),
        capacity(options.capacity),
        acceptor(loop.executor()) {
    const asio::ip::tcp::endpoint endpoint(asio::ip::address_v4::loopback(), options.port);
    acceptor.open(endpoint.protocol());
    acceptor.set_option(asio::socket_base::reuse_address(true));
    acceptor.bind(endpoint);
    acceptor.listen();
    port = acceptor.local_endpoint().port();
    asio::co_spawn(loop.executor(), accept(), asio::detached);
    thread = std::thread([this] { loop.context().run(); });
  }

  ~Server() {
    loop.context().stop();
    thread.join();
  }

  Task<> accept() {
    while (true) {
      Socket socket(loop.executor());
      const auto [error] = co_await acceptor.async_accept(socket, asio::as_tuple(use_task));
      if (error) co_return;
      {
        const std::lock_guard lock(mutex);
        api.connected();
      }
      asio::co_spawn(loop.executor(), serve(std::move(socket)), asio::detached);
    }
  }

  Task<> serve(Socket socket) {
    boost::system::error_code ignored;
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    const int on = 1;
    ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
    boost::beast::flat_buffer buffer;
    while (true) {
      Clock::time_point at = Clock::now();
      if (buffer.size() == 0) {
        const auto [error] =
            co_await socket.async_wait(asio::socket_base::wait_read, asio::as_tuple(use_task));
        if (error) co_return;
        at = arrival(socket);
      }
      http::request_parser<http::string_body> parser;
      parser.body_limit(body_limit);
      const auto [header_error, header_bytes] =
          co_await http::async_read_header(socket, buffer, parser, asio::as_tuple(use_task));
      if (header_error) co_return;
      const std::string target = text(parser.get().target());
      {
        const std::lock_guard lock(mutex);
        api.arrived(target, at);
      }
      Answer answer;
      Clock::time_point begun;
      const bool goes_on = co_await exchange(socket, buffer, parser, answer, begun);
      {
        const std::lock_guard lock(mutex);
        api.left(target, answer, begun);
      }
      if (!goes_on) co_return;
    }
  }

  // Reads the rest of a request, and answers; `begun` is when the answer began to go out. False:
  // the connection is to be closed.
  Task<bool> exchange(Socket& socket, boost::beast::flat_buffer& buffer,
                      http::request_parser<http::string_body>& parser, Answer& answer,
                      Clock::time_point& begun) {
    begun = Clock::now();
    if (boost::beast::iequals(parser.get()[http::field::expect], "100-continue")) {
      http::response<http::empty_body> go_on(http::status::continue_, 11);
      const auto [error, bytes] =
          co_await http::async_write(socket, go_on, asio::as_tuple(use_task));
      if (error) co_return false;
    }
    const auto [error, bytes] =
        co_await http::async_read(socket, buffer, parser, asio::as_tuple(use_task));
    if (error) co_return false;
    auto message = parser.release();
    Request request{.method = text(message.method_string()),
                    .target = text(message.target()),
                    .authorization = text(message[http::field::authorization]),
                    .email = text(message["X-Auth-Email"]),
                    .key = text(message["X-Auth-Key"]),
                    .content_type = text(message[http::field::content_type]),
                    .body = std::move(message.body())};
    if (!request.target.starts_with("/__control/")) {
      while (working >= capacity) co_await work_done.wait();
      ++working;
      if (latency.count() > 0) co_await io::sleep_for(latency);
      --working;
      work_done.notify_all();
    }
    {
      const std::lock_guard lock(mutex);
      answer = api.handle(std::move(request));
    }
    if (answer.delivery == Fault::cut_before || answer.delivery == Fault::cut_after) {
      co_return false;
    }
    if (answer.delivery == Fault::stall) co_await io::sleep_for(answer.stall);
    begun = Clock::now();
    const bool keep_alive = message.keep_alive();
    auto response = make_response(answer, keep_alive);
    if (answer.delivery == Fault::cut_middle) {
      co_await write_half(socket, response);
      co_return false;
    }
    const auto [write_error, written] =
        co_await http::async_write(socket, response, asio::as_tuple(use_task));
    co_return !write_error && keep_alive && answer.delivery != Fault::close_idle;
  }

  static Task<> write_half(Socket& socket, http::response<http::string_body>& response) {
    http::response_serializer<http::string_body> serializer(response);
    const auto [error, bytes] =
        co_await http::async_write_header(socket, serializer, asio::as_tuple(use_task));
    if (error) co_return;
    const std::string half = response.body().substr(0, response.body().size() / 2);
    co_await asio::async_write(socket, asio::buffer(half), asio::as_tuple(use_task));
  }

  // Guards `api`.
  mutable std::mutex mutex;
  Api api;
  const std::chrono::milliseconds latency;
  const std::size_t capacity;  // so many requests are worked on at once, the others queue
  std::size_t working = 0;
  std::uint16_t port = 0;
  io::Loop loop;
  io::Event work_done{loop.executor()};
  Acceptor acceptor;
  std::thread thread;
};

FakeCloudflare::FakeCloudflare(Options options) : server_(std::make_unique<Server>(options)) {}
FakeCloudflare::~FakeCloudflare() = default;

std::uint16_t FakeCloudflare::port() const {
  return server_->port;
}

std::string FakeCloudflare::base_url() const {
  return fmt::format("http://127.0.0.1:{}/client/v4", server_->port);
}

void FakeCloudflare::set_faults(FaultPlan plan) {
  const std::lock_guard lock(server_->mutex);
  server_->api.set_faults(std::move(plan));
}

Stats FakeCloudflare::stats() const {
  const std::lock_guard lock(server_->mutex);
  return server_->api.stats();
}

void FakeCloudflare::reset_stats() {
  const std::lock_guard lock(server_->mutex);
  server_->api.reset_stats();
}

void FakeCloudflare::advance_clock(std::chrono::seconds by) {
  const std::lock_guard lock(server_->mutex);
  server_->api.advance_clock(by);
}

std::string FakeCloudflare::create_namespace(std::string title, MadeUp made_up) {
  const std::lock_guard lock(server_->mutex);
  return server_->api.create_namespace(std::move(title), made_up);
}

void FakeCloudflare::put(std::string_view namespace_id, std::string key, Entry entry) {
  const std::lock_guard lock(server_->mutex);
  server_->api.put(namespace_id, std::move(key), std::move(entry));
}

std::optional<Entry> FakeCloudflare::find(std::string_view namespace_id,
                                          std::string_view key) const {
  const std::lock_guard lock(server_->mutex);
  return server_->api.find(namespace_id, key);
}

std::uint64_t FakeCloudflare::size(std::string_view namespace_id) const {
  const std::lock_guard lock(server_->mutex);
  return server_->api.size(namespace_id);
}

std::vector<std::string> FakeCloudflare::purged(std::string_view zone,
                                                std::string_view kind) const {
  const std::lock_guard lock(server_->mutex);
  return server_->api.zones().purged(zone, kind);
}

std::string FakeCloudflare::namespace_id(std::string_view title) const {
  const std::lock_guard lock(server_->mutex);
  return server_->api.namespace_id(title);
}

}  // namespace sluice::cloudflare_fake
