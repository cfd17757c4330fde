#include "server/server.h"

#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <thread>
#include <utility>

namespace sluice::server {

namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using Acceptor = asio::basic_socket_acceptor<tcp, io::Executor>;

// When no descriptor is left and nobody gives one back, accepting again would only fail again.
constexpr std::chrono::milliseconds kWithoutDescriptors{100};

Error listen_error(const ListenAddress& listen, const boost::system::error_code& error) {
  const std::string_view hint = error == asio::error::address_in_use
                                    ? " Another program listens there: choose another port."
                                    : "";
  return {ErrorCode::io, Retry::never, std::nullopt,
          fmt::format("{} cannot be listened at: {}.{}", listen.text(), error.message(), hint)};
}

Result<> listen_at(Acceptor& acceptor, const ListenAddress& listen, bool share_port) {
  boost::system::error_code error;
  const tcp::endpoint endpoint(asio::ip::make_address(listen.address, error), listen.port);
  using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error && share_port) acceptor.set_option(ReusePort(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(4096, error);
  if (error) return std::unexpected(listen_error(listen, error));
  return {};
}

// With SO_REUSEPORT a second server of the same user would take half of the first one's
// connections, and nobody would be told. A socket without it is refused.
Result<> check_free(const ListenAddress& listen) {
  if (listen.port == 0) return {};
  io::Loop loop;
  Acceptor probe(loop.executor());
  return listen_at(probe, listen, false);
}

}  // namespace

// One event loop with its connections. All but start, post_stop and join run on its thread.
class Server::LoopThread {
 public:
  LoopThread(std::unique_ptr<io::Loop> loop, std::unique_ptr<http::Service> service,
             const Options& options, http::MemoryBudget& memory, Log& log)
      : log_(log),
        most_(std::max<std::size_t>(1, options.connections / options.threads)),
        loop_(std::move(loop)),
        table_(loop_->executor()),
        acceptor_(loop_->executor()),
        service_(std::move(service)),
        setting_{.table = table_,
                 .service = *service_,
                 .memory = memory,
                 .limits = options.limits,
                 .times = options.times,
                 .tls = options.tls.get()} {}

  Result<> listen(ListenAddress& listen) {
    if (auto listening = listen_at(acceptor_, listen, true); !listening) return listening;
    boost::system::error_code error;
    listen.port = acceptor_.local_endpoint(error).port();
    return {};
  }

  void start() {
    thread_ = std::thread([this] { loop_->run(run()); });
  }

  void post_stop(std::chrono::milliseconds grace) {
    asio::post(loop_->context(), [this, until = io::Clock::now() + grace] {
      if (stopping_) return;
      stopping_ = true;
      until_ = until;
      boost::system::error_code ignored;
      acceptor_.close(ignored);
      table_.stop();
    });
  }

  // True: every connection has ended by itself.
  bool join() {
    if (thread_.joinable()) thread_.join();
    return !aborted_;
  }

 private:
  io::Task<> run() {
    asio::co_spawn(loop_->executor(), table_.watch(), asio::detached);
    while (!stopping_) co_await accept();
    while (table_.size() > 0) {
      if (!aborted_ && io::Clock::now() >= until_) {
        aborted_ = true;
        service_->give_up();
        table_.abort();
      }
      co_await table_.wait_for_change(aborted_ ? io::Clock::now() + http::ConnectionTable::kTick
                                               : until_);
    }
  }

  io::Task<> accept() {
    if (table_.size() >= most_) {
      // Nobody has to go before somebody else has come.
      const auto [error] =
          co_await acceptor_.async_wait(tcp::acceptor::wait_read, asio::as_tuple(io::use_task));
      if (stopping_) co_return;
      if (error || !table_.drop_idle()) {
        co_await table_.wait_for_change(io::Clock::now() + std::chrono::seconds(1));
        co_return;
      }
    }
    http::ServerSocket socket(loop_->executor());
    const auto [error] = co_await acceptor_.async_accept(socket, asio::as_tuple(io::use_task));
    if (!error) {
      asio::co_spawn(loop_->executor(), http::serve_connection(std::move(socket), setting_),
                     asio::detached);
    } else if (!stopping_ && error != asio::error::connection_aborted) {
      const bool made_room = table_.drop_idle();
      if (!made_room) log_.warn("a connection could not be accepted: {}", error.message());
      co_await table_.wait_for_change(io::Clock::now() + kWithoutDescriptors);
    }
  }

  Log& log_;
  const std::size_t most_;
  const std::unique_ptr<io::Loop> loop_;
  http::ConnectionTable table_;
  Acceptor acceptor_;
  std::unique_ptr<http::Service> service_;
  http::ServerSetting setting_;
  std::thread thread_;
  bool stopping_ = false;
  bool aborted_ = false;
  io::Clock::time_point until_{};
};

Server::Server(const Options& options)
    : listen_(options.listen), memory_(options.body_memory), tls_(options.tls) {}

Result<std::unique_ptr<Server>> Server::start(const Options& options,
                                              const MakeService& make_service, Log& log) {
  // A connection is a descriptor: the soft limit (1,024, usually) is raised to what is allowed.
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  std::unique_ptr<Server> server(new Server(options));
  if (auto free = check_free(options.listen); !free) {
    return std::unexpected(std::move(free.error()));
  }
  for (std::size_t i = 0; i < std::max<std::size_t>(1, options.threads); ++i) {
    auto loop = std::make_unique<io::Loop>();
    auto service = make_service({*loop, server->memory_});
    if (!service) return std::unexpected(std::move(service.error()));
    auto thread = std::make_unique<LoopThread>(std::move(loop), std::move(*service), options,
                                               server->memory_, log);
    if (auto listening = thread->listen(server->listen_); !listening) {
      return std::unexpected(std::move(listening.error()));
    }
    server->loops_.push_back(std::move(thread));
  }
  for (const auto& loop : server->loops_) loop->start();
  return server;
}

bool Server::stop(std::chrono::milliseconds grace) {
  for (const auto& loop : loops_) loop->post_stop(grace);
  bool all = true;
  for (const auto& loop : loops_) all = loop->join() && all;
  loops_.clear();
  return all;
}

Server::~Server() {
  stop(std::chrono::milliseconds(0));
}

}  // namespace sluice::server
