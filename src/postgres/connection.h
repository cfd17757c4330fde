// Connection: one connection to a PostgreSQL server, without blocking.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "io/stop.h"
#include "io/task.h"
#include "postgres/error.h"
#include "postgres/readiness.h"
#include "postgres/rows.h"
#include "postgres/target.h"
#include "telemetry/log.h"

struct pg_conn;
struct pg_result;

namespace sluice::postgres {

// A connection that has been opened. It is used by one call at a time, each of which ends at its
// time limit; Client sees to both. After a failure of the connection itself (`broken`) it is of no
// more use. The server's notices go to the log. Belongs to one loop, and is destroyed before it.
class Connection {
 public:
  // Opens a connection to the first host of `target` that lets us in; each has its share of the
  // time. Fails when no host can be reached, the user is refused, or the database is one that
  // entries cannot be kept in (not in UTF-8, or older than PostgreSQL 12). Names are looked up
  // beside the loop. A stop ends it; once it is abandoned, calls under way end, too, with
  // Stop::given_up. What is referred to must outlive the connection.
  static io::Task<Result<std::unique_ptr<Connection>>> open(const Target& target, Log& log,
                                                            io::Stop& stop,
                                                            io::Clock::time_point until);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // What the next statements are for, in messages: completes "while …"; and when they give up.
  void begin(std::string doing, io::Clock::time_point until);

  // Runs statements in one round trip, and, if none begins one itself, in one transaction: all of
  // them happen, or none. The answers are in their order. After an error, `sqlstate` tells which.
  io::Task<Result<std::vector<Rows>>> run(std::vector<Statement> statements);
  // The same for one statement.
  io::Task<Result<Rows>> run_one(Statement statement);

  // Runs `sql`, several statements without parameters, one of which is a COPY … FROM STDIN, as one
  // transaction (unless it begins one itself). `next` gives the data piece by piece, and an empty
  // piece as its end; a piece is valid until the next call.
  io::Task<Result<>> copy_in(std::string sql, std::function<std::string_view()> next);

  // The SQLSTATE of the last failure; empty if the server has not told one.
  [[nodiscard]] std::string_view sqlstate() const { return sqlstate_; }
  // Whether it can be used for another call: alive, and in no transaction.
  [[nodiscard]] bool reusable();
  // Whether the server may have carried out what was sent last, although no answer has come.
  [[nodiscard]] bool may_have_sent() const { return sent_; }

  // Bytes of parameters and COPY data sent, and of values received, as far as libpq tells.
  struct Traffic {
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
  };
  [[nodiscard]] const Traffic& traffic() const { return traffic_; }

 private:
  struct Close {
    void operator()(pg_conn* connection) const;
  };
  struct Clear {
    void operator()(pg_result* result) const;
  };
  using Handle = std::unique_ptr<pg_conn, Close>;
  using Answer = std::unique_ptr<pg_result, Clear>;

  Connection(const Target& target, Log& log, io::Stop& stop, io::Executor executor);

  // Opening (opening.cc).
  io::Task<Result<>> connect(const Target::Host& host, io::Clock::time_point until);
  Error refusal(std::string_view host) const;
  Result<> check_server();

  // Sends what libpq has buffered, and takes in what arrives meanwhile.
  io::Task<Result<>> flush();
  // The next result, or none when a statement's results are over.
  io::Task<Result<Answer>> next();
  // Takes in what has arrived. A connection that has ended is found out by the next result.
  void take_in();
  Error failed(const pg_result* result);
  Error broken();
  Error timed_out();
  [[nodiscard]] bool keep(const pg_result* result);
  static void on_notice(void* log, const pg_result* notice);

  const Target& target_;
  Log& log_;
  io::Stop& stop_;
  io::Executor executor_;
  Handle handle_;
  Readiness readiness_;  // before the handle is closed, it lets go of the socket
  io::Stop::Listener on_abandon_;
  std::string doing_ = "connecting";
  io::Clock::time_point until_{};
  std::string sqlstate_;
  bool ended_ = false;
  bool sent_ = false;
  std::size_t largest_ = 0;
  Traffic traffic_;
};

}  // namespace sluice::postgres
