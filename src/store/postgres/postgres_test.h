// What the tests of the Postgres backend stand on: a server of their own, and a schema for each.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "postgres/client.h"
#include "postgres/server_test.h"
#include "store/conformance.h"
#include "store/postgres/postgres.h"

namespace sluice::store::postgres_test {

using postgres::Server;

// A backend on a URL, with what it needs around it.
class Site {
 public:
  Site(io::Loop& loop, std::string_view url,
       std::chrono::milliseconds timeout = std::chrono::seconds(60))
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
                               .longest = std::chrono::milliseconds(500)},
                     .request_timeout = timeout},
        opened_(open_backend(url, environment_)) {}

  Result<Opened>& opened() { return opened_; }
  io::Stop& stop() { return stop_; }
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

class PostgresStoreTest : public testing::Test {
 protected:
  PostgresStoreTest() : direct_(loop_), schema_(direct_.schema()) {}

  [[nodiscard]] std::string url(std::string_view more = {}) const {
    return Server::shared().url(fmt::format("postgres?schema={}{}", schema_, more));
  }
  // The schema as SQL names it.
  [[nodiscard]] std::string in(std::string_view table) const {
    return fmt::format("\"schema {}\"\"?\".{}", schema_.substr(9, schema_.size() - 15), table);
  }
  [[nodiscard]] std::int64_t number(const std::string& sql) {
    return std::stoll(direct_.text("SELECT (" + sql + ")::text"));
  }
  [[nodiscard]] std::int64_t tables() {
    return number(fmt::format("SELECT count(*) FROM pg_tables WHERE schemaname = 'schema {}\"?'",
                              schema_.substr(9, schema_.size() - 15)));
  }

  Result<WriteAnswer> try_put(Store& store, const std::vector<conformance::Entry>& entries) {
    std::vector<EntryView> views;
    for (const auto& entry : entries) views.push_back(conformance::view(entry));
    return loop_.run(store.put(views));
  }
  void put(Store& store, const std::vector<conformance::Entry>& entries) {
    auto answer = try_put(store, entries);
    ASSERT_TRUE(answer) << answer.error().message;
    ASSERT_TRUE(answer->failed.empty()) << answer->failed.front().error.message;
  }
  std::vector<conformance::Entry> list(Store& store, bool values = true) {
    std::vector<conformance::Entry> all;
    std::string cursor;
    do {
      auto page = loop_.run(store.list({.cursor = cursor, .values = values}));
      if (!page) {
        ADD_FAILURE() << page.error().message;
        return all;
      }
      largest_page_ = std::max(largest_page_, page->entries.bytes());
      for (const EntryView& entry : page->entries) {
        all.push_back({std::string(entry.key), std::string(entry.value),
                       std::string(entry.metadata), entry.expiration});
      }
      cursor = page->cursor;
    } while (!cursor.empty());
    return all;
  }
  Result<GetAnswer> get(Store& store, const std::vector<std::string_view>& keys) {
    return loop_.run(store.get(keys));
  }
  static Error error_of(auto result) {
    EXPECT_FALSE(result);
    return result ? Error{} : result.error();
  }

  io::Loop loop_;
  Direct direct_;
  std::string schema_;
  std::size_t largest_page_ = 0;
};

}  // namespace sluice::store::postgres_test
