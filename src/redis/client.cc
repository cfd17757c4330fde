#include "redis/client.h"

#include "redis/server_error.h"

namespace sluice::redis {

Client::Client(io::Executor executor, flow::Gate& gate, flow::Retrier& retrier, Log& log,
               Connection::Options options)
    : executor_(executor),
      gate_(gate),
      retrier_(retrier),
      log_(log),
      options_(std::move(options)) {}

Client::Lease::~Lease() {
  if (connection_ && connection_->usable()) client_.idle_.push_back(std::move(connection_));
}

std::unique_ptr<Connection> Client::take_idle() {
  while (!idle_.empty()) {
    std::unique_ptr<Connection> connection = std::move(idle_.back());
    idle_.pop_back();
    // The server may have closed it meanwhile: it was restarted, or it ends idle connections.
    if (connection->usable()) return connection;
  }
  return nullptr;
}

// `opened` becomes true if a connection had to be made first.
io::Task<Result<Replies>> Client::Lease::carry(const Commands& commands, std::size_t most_bytes,
                                               bool& opened) {
  if (!connection_) connection_ = client_.take_idle();
  if (!connection_) {
    auto made = co_await Connection::open(client_.executor_, client_.options_, client_.gate_.stop(),
                                          client_.tls_, client_.traffic_);
    if (!made) co_return std::unexpected(std::move(made.error()));
    connection_ = std::move(*made);
    opened = true;
  }
  co_return co_await connection_->round_trip(commands, most_bytes);
}

io::Task<Result<Replies>> Client::Lease::round_trip(const Commands& commands,
                                                    const RoundTrip& about) {
  Result<flow::Gate::Pass> pass =
      co_await client_.gate_.enter(flow::request_kind(about.doing, commands.bytes()));
  if (!pass) {
    discard();  // it may be in the middle of something: WATCH has no EXEC now
    co_return std::unexpected(std::move(pass.error()));
  }
  const auto begun = io::Clock::now();
  bool opened = false;
  Result<Replies> replies = co_await carry(commands, about.most_bytes, opened);
  if (client_.log_.enabled(LogLevel::debug)) {
    const std::int64_t took =
        std::chrono::duration_cast<std::chrono::microseconds>(io::Clock::now() - begun).count();
    const std::string ending = replies ? "answered" : replies.error().message;
    const std::size_t count = commands.count();
    const std::size_t bytes = commands.bytes();
    client_.log_.debug("Redis: {} commands, {} bytes, while {} → {} in {} µs", count, bytes,
                       about.doing, ending, took);
  }
  if (replies) {
    // With the greeting in it, its time tells nothing about the load.
    pass->finish(opened ? flow::Outcome::other : flow::Outcome::answered);
    co_return replies;
  }
  Error& error = replies.error();
  pass->finish(flow::outcome_of(&error));
  if (error.code == ErrorCode::timeout && about.divisible) error.retry = Retry::smaller;
  if (error.retry == Retry::smaller && !about.divisible) error.retry = Retry::never;
  co_return replies;
}

}  // namespace sluice::redis
