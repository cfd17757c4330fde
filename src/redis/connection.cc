#include "redis/connection.h"

#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "io/resolve.h"
#include "redis/server_error.h"

namespace sluice::redis {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

using Socket = asio::basic_stream_socket<tcp, io::Executor>;

auto into(error_code& error) {
  return asio::redirect_error(io::use_task, error);
}

// The reason as OpenSSL or the system words it, in one line.
std::string reason(const error_code& error) {
  return truncated_to_width(printable(error.message()), 160);
}

}  // namespace

struct Connection::Tls {
  asio::ssl::context context{asio::ssl::context::tls_client};

  // Null if `error` tells why not.
  static SharedTls make(const Address& address, error_code& error) {
    auto tls = std::make_shared<Tls>();
    SSL_CTX_set_min_proto_version(tls->context.native_handle(), TLS1_2_VERSION);
    if (address.ca_file.empty()) {
      tls->context.set_default_verify_paths(error);
    } else {
      tls->context.load_verify_file(address.ca_file, error);
    }
    return error ? nullptr : tls;
  }
};

// The socket, and the TLS around it if there is any.
class Connection::Transport {
 public:
  explicit Transport(io::Executor executor) : socket_(executor) {}

  Socket& socket() { return socket_; }

  io::Task<error_code> start_tls(const Address& address, SharedTls& shared) {
    error_code error;
    if (!shared) shared = Tls::make(address, error);
    if (!shared) co_return error;
    tls_.emplace(socket_, shared->context);
    tls_->set_verify_mode(asio::ssl::verify_peer, error);
    tls_->set_verify_callback(asio::ssl::host_name_verification(address.host), error);
    // Server Name Indication takes names only (RFC 6066).
    error_code not_an_address;
    asio::ip::make_address(address.host, not_an_address);
    if (not_an_address) SSL_set_tlsext_host_name(tls_->native_handle(), address.host.c_str());
    co_await tls_->async_handshake(asio::ssl::stream_base::client, into(error));
    co_return error;
  }

  io::Task<error_code> write(const Commands& commands, Traffic& traffic) {
    std::vector<asio::const_buffer> buffers;
    for (const std::string_view piece : commands.pieces()) {
      buffers.emplace_back(piece.data(), piece.size());
    }
    error_code error;
    std::size_t written = 0;
    if (tls_) {
      written = co_await asio::async_write(*tls_, buffers, into(error));
    } else {
      written = co_await asio::async_write(socket_, buffers, into(error));
    }
    traffic.bytes_sent += written;
    co_return error;
  }

  // What is there, at least a byte. Valid until the next read.
  io::Task<std::string_view> read(error_code& error, Traffic& traffic) {
    const auto into_buffer = asio::buffer(buffer_);
    std::size_t size = 0;
    if (tls_) {
      size = co_await tls_->async_read_some(into_buffer, into(error));
    } else {
      size = co_await socket_.async_read_some(into_buffer, into(error));
    }
    traffic.bytes_received += size;
    co_return std::string_view(buffer_.data(), size);
  }

  void close() {
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  Socket socket_;
  std::optional<asio::ssl::stream<Socket&>> tls_;
  std::array<char, 64 * 1024> buffer_;
};

namespace {

// Calls `on_time` at the deadline, or when the stop is abandoned, unless it is destroyed before.
class Watchdog {
 public:
  Watchdog(io::Executor executor, io::Stop& stop, io::Clock::time_point deadline,
           std::function<void()> on_time)
      : timer_(executor, deadline),
        state_(std::make_shared<State>(std::move(on_time), false)),
        on_abandon_(stop, [this] { state_->fire(); }, io::Stop::Phase::abandoned) {
    timer_.async_wait([state = state_](const error_code& error) {
      if (!error) state->fire();
    });
  }
  ~Watchdog() { state_->on_time = nullptr; }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  [[nodiscard]] bool fired() const { return state_->fired; }

 private:
  struct State {
    std::function<void()> on_time;
    bool fired;

    void fire() {
      if (!on_time || std::exchange(fired, true)) return;
      on_time();
    }
  };
  io::Timer timer_;
  std::shared_ptr<State> state_;
  io::Stop::Listener on_abandon_;
};

}  // namespace

Connection::Connection(io::Executor executor, const Options& options, io::Stop& stop,
                       Traffic& traffic)
    : executor_(executor),
      options_(options),
      stop_(stop),
      traffic_(traffic),
      transport_(std::make_unique<Transport>(executor)) {}
Connection::~Connection() = default;

std::string Connection::place() const {
  const Address& at = options_.address;
  return printable(at.host.find(':') == std::string::npos
                       ? fmt::format("{}:{}", at.host, at.port)
                       : fmt::format("[{}]:{}", at.host, at.port));
}

std::string Connection::without_password(std::string_view said) const {
  std::string text(said);
  const std::string_view secret = options_.address.password.reveal();
  for (auto at = text.find(secret); !secret.empty() && at != std::string::npos;
       at = text.find(secret, at + 3)) {
    text.replace(at, secret.size(), "***");
  }
  return text;
}

Error Connection::given_up() const {
  return stop_.given_up(fmt::format("Redis at {}", place()));
}

io::Task<Result<std::unique_ptr<Connection>>> Connection::open(io::Executor executor,
                                                               const Options& options,
                                                               io::Stop& stop, SharedTls& tls,
                                                               Traffic& traffic) {
  std::unique_ptr<Connection> connection(new Connection(executor, options, stop, traffic));
  // Nothing has been asked of the server yet that could be half done.
  Transport& transport = *connection->transport_;
  const io::Stop::Listener listener(stop, [&transport] { transport.close(); });
  Result<> opened = co_await connection->connect(tls);
  if (opened) opened = co_await connection->greet();
  if (!opened && stop.requested()) co_return std::unexpected(stop.reason());
  if (!opened) co_return std::unexpected(std::move(opened.error()));
  co_return connection;
}

io::Task<Result<>> Connection::connect(SharedTls& tls) {
  const Address& address = options_.address;
  const auto deadline = io::Clock::now() + options_.connect_timeout;
  const auto late = [&]() -> Result<> {
    if (stop_.abandoned()) return std::unexpected(given_up());
    return fail(ErrorCode::timeout, Retry::again,
                "there was no connection to Redis at {} within {} ms. Check the address and the "
                "network.",
                place(), options_.connect_timeout.count());
  };
  auto addresses = co_await io::resolve(address.host, stop_, deadline);
  if (!addresses) co_return std::unexpected(std::move(addresses.error()));
  std::vector<tcp::endpoint> endpoints;
  for (const std::string& each : *addresses) {
    endpoints.emplace_back(asio::ip::make_address(each), address.port);
  }

  const Watchdog watchdog(executor_, stop_, deadline, [this] { transport_->close(); });
  error_code error;
  co_await asio::async_connect(transport_->socket(), endpoints, into(error));
  if (watchdog.fired()) co_return late();
  if (error) {
    co_return fail(ErrorCode::network, Retry::again,
                   "Redis at {} cannot be reached: {}. Check that it runs there.", place(),
                   reason(error));
  }
  transport_->socket().set_option(tcp::no_delay(true), error);
  transport_->socket().set_option(asio::socket_base::keep_alive(true), error);
  if (address.tls) {
    const error_code failed = co_await transport_->start_tls(address, tls);
    if (watchdog.fired()) {
      if (stop_.abandoned()) co_return late();
      co_return fail(ErrorCode::timeout, Retry::again,
                     "Redis at {} did not answer the beginning of TLS within {} ms. Check that the "
                     "port speaks TLS; redis:// is without.",
                     place(), options_.connect_timeout.count());
    }
    if (failed) {
      // A connection that is cut may pass; a certificate stays what it is.
      const bool cut = failed.category() != asio::error::get_ssl_category();
      co_return fail(
          ErrorCode::network, cut ? Retry::again : Retry::fatal,
          "there is no TLS with Redis at {}: {}. Check that the port speaks TLS and that "
          "its certificate is trusted (SSL_CERT_FILE names another authority).",
          place(), reason(failed));
    }
  }
  broken_ = false;
  co_return Result<>{};
}

io::Task<Result<>> Connection::greet() {
  const Address& address = options_.address;
  Commands commands;
  const bool auth = !address.password.empty() || !address.user.empty();
  if (auth && address.user.empty()) {
    commands.add_command("AUTH", address.password.reveal());
  } else if (auth) {
    commands.add_command("AUTH", address.user, address.password.reveal());
  }
  const bool select = address.database != 0;
  if (select) commands.add_command("SELECT", static_cast<std::int64_t>(address.database));
  commands.add_command("CLIENT", "SETNAME", "sluice");
  commands.add_command("INFO", "server");
  constexpr std::size_t most_bytes = 256 * 1024;
  auto replies = co_await exchange(commands, most_bytes, options_.connect_timeout);
  if (!replies) co_return std::unexpected(std::move(replies.error()));

  const auto refused = [&](std::string_view text) {
    return server_error(without_password(text), fmt::format("connecting to {}", place()));
  };
  if (auth) {
    const Reply& answer = replies->next();
    if (answer.is_error()) co_return std::unexpected(refused(answer.text));
  }
  if (select) {
    const Reply& answer = replies->next();
    if (answer.is_error()) co_return std::unexpected(refused(answer.text));
  }
  // Both of these may be forbidden to a user, and are done without then. What is refused for other
  // reasons (no password, too many clients) is refused for everything.
  for (int i = 0; i < 2; ++i) {
    const Reply& answer = replies->next();
    if (answer.is_error()) {
      if (answer.text.starts_with("NOPERM") || is_unknown_command(answer.text)) continue;
      co_return std::unexpected(refused(answer.text));
    }
    if (answer.text.find("\nredis_mode:cluster") != std::string_view::npos) {
      co_return fail(
          ErrorCode::unsupported, Retry::fatal,
          "Redis at {} is part of a cluster. Stores of the kind redis-cluster:// are not "
          "built yet in this version of Sluice.",
          place());
    }
    constexpr std::string_view name = "\nrun_id:";
    const auto at = answer.text.find(name);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = answer.text.substr(at + name.size());
    const std::string_view id = rest.substr(0, rest.find_first_of("\r\n"));
    const bool plain = std::ranges::all_of(id, [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    });
    if (plain && id.size() <= 64) server_.run_id = id;
  }
  co_return Result<>{};
}

io::Task<Result<Replies>> Connection::round_trip(const Commands& commands, std::size_t most_bytes) {
  return exchange(commands, most_bytes, options_.timeout);
}

io::Task<Result<Replies>> Connection::exchange(const Commands& commands, std::size_t most_bytes,
                                               std::chrono::milliseconds timeout) {
  broken_ = true;  // until proven otherwise
  if (stop_.abandoned()) co_return std::unexpected(given_up());
  const Watchdog watchdog(executor_, stop_, io::Clock::now() + timeout,
                          [this] { transport_->close(); });
  reader_.expect(commands.count(), most_bytes);
  error_code error = co_await transport_->write(commands, traffic_);
  // Also after a failed write: a server that closes the connection says why before.
  const bool written = !error;
  while (!reader_.complete()) {
    error_code read_error;
    const std::string_view bytes = co_await transport_->read(read_error, traffic_);
    if (watchdog.fired()) {
      if (stop_.abandoned()) co_return std::unexpected(given_up());
      co_return fail(ErrorCode::timeout, Retry::again,
                     "Redis at {} did not answer within {} ms. Try again later, or with a larger "
                     "--timeout.",
                     place(), timeout.count());
    }
    if (read_error) {
      // The last words of a server that hangs up ("max number of clients reached", "Protocol
      // error") say more than that it did.
      Replies said = reader_.take();
      for (const Reply& reply : said.all()) {
        if (reply.is_error()) {
          co_return std::unexpected(
              server_error(without_password(reply.text), fmt::format("talking to {}", place())));
        }
      }
      co_return fail(ErrorCode::network, Retry::again,
                     "the connection to Redis at {} broke: {}. Try again later.", place(),
                     reason(written ? read_error : error));
    }
    if (auto fed = reader_.feed(bytes); !fed) {
      Error failure = std::move(fed.error());
      failure.message = fmt::format("Redis at {}: {}.", place(), failure.message);
      co_return std::unexpected(std::move(failure));
    }
  }
  broken_ = !written;
  co_return reader_.take();
}

bool Connection::usable() {
  if (broken_ || !transport_->socket().is_open()) return false;
  const int socket = transport_->socket().native_handle();
#ifdef POLLRDHUP
  // The end may stand behind bytes: under TLS, the server says goodbye first.
  pollfd end{.fd = socket, .events = POLLRDHUP, .revents = 0};
  if (::poll(&end, 1, 0) != 0) return false;
#endif
  char byte = 0;
  const auto seen = ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  // Under TLS the server may send a new session ticket at any moment; its end is no byte at all.
  if (options_.address.tls) return seen != 0;
  return seen < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace sluice::redis
