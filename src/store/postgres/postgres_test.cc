#include "store/postgres/postgres.h"

#include <gtest/gtest.h>

#include <random>

#include "postgres/client.h"
#include "postgres/server_test.h"
#include "store/conformance.h"
#include "store/limits.h"

namespace sluice::store {
namespace {

using conformance::Conformance;
using postgres::Server;

// A backend on a URL, with what it needs around it.
class Site {
 public:
  Site(io::Loop& loop, std::string_view url)
      : loop_(loop),
        stop_(loop.executor()),
        log_(LogLevel::off),
        environment_{.executor = loop.executor(),
                     .stop = stop_,
                     .log = log_,
                     .setting = [](std::string_view) { return std::string(); },
                     .data_folder = {},
                     .gate = {},
                     .retry = {.attempts = 4,
                               .base = std::chrono::milliseconds(20),
                               .longest = std::chrono::milliseconds(500)}},
        opened_(open_backend(url, environment_)) {}

  Result<Opened>& opened() { return opened_; }
  Backend& backend() { return *opened_.value().backend; }
  std::unique_ptr<Store> store(std::string_view name = "default") {
    auto found = loop_.run(backend().find_namespace(name));
    if (!found) throw std::runtime_error(found.error().message);
    return backend().open(*found);
  }

 private:
  io::Loop& loop_;
  io::Stop stop_;
  Log log_;
  Environment environment_;
  Result<Opened> opened_;
};

// The server itself, past the store.
class Direct {
 public:
  explicit Direct(io::Loop& loop)
      : loop_(loop),
        stop_(loop.executor()),
        log_(LogLevel::off),
        client_(loop.executor(), stop_, log_, {.target = target(), .gate = {}, .retry = {}}) {}

  Result<postgres::Rows> ask(const std::string& sql) {
    auto work = [&](postgres::Connection& connection) -> io::Task<Result<postgres::Rows>> {
      co_return co_await connection.run_one(postgres::Statement(sql));
    };
    return loop_.run(client_.call({.doing = "testing"}, work));
  }
  void run(const std::string& sql) {
    auto answer = ask(sql);
    if (!answer) throw std::runtime_error(answer.error().message);
  }
  std::string text(const std::string& sql) {
    auto answer = ask(sql);
    if (!answer) throw std::runtime_error(answer.error().message);
    return std::string(answer->bytes(0, 0));
  }
  // A new schema, so that tests do not meet.
  std::string schema() {
    static int made = 0;
    const std::string name = fmt::format("schema {}\"?", ++made);
    run(fmt::format("CREATE SCHEMA \"schema {}\"\"?\"", made));
    return fmt::format("schema%20{}%22%3F", made);
  }

 private:
  static postgres::Target target() {
    return postgres::make_target(StoreUrl::parse(Server::shared().socket_url()).value(), {})
        .value();
  }
  io::Loop& loop_;
  io::Stop stop_;
  Log log_;
  postgres::Client client_;
};

class PostgresFixture : public conformance::Fixture {
 public:
  explicit PostgresFixture(io::Loop& loop)
      : site_(loop, Server::shared().url("postgres?schema=" + Direct(loop).schema())) {}
  Backend& backend() override { return site_.backend(); }

 private:
  Site site_;
};

INSTANTIATE_TEST_SUITE_P(
    Postgres, Conformance,
    testing::Values(conformance::Subject{
        .name = "Server",
        .open = [](io::Loop& loop) { return std::make_unique<PostgresFixture>(loop); },
        .many = 20'000}),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace sluice::store
