// The conformance suite against a real server.
#include <gtest/gtest.h>

#include <algorithm>

#include "store/conformance.h"
#include "store/redis/redis_opening.h"
#include "store/redis/redis_server.h"

namespace sluice::store {
namespace {

using conformance::Conformance;
using redis::Opening;
using redis::RedisServer;

class NamespacesFixture : public conformance::Fixture {
 public:
  NamespacesFixture(io::Loop& loop, std::vector<std::string> arguments)
      : server_(std::move(arguments)), opening_(loop), backend_(opening_.open(server_.url())) {}
  Backend& backend() override { return *backend_; }

 private:
  RedisServer server_;
  Opening opening_;
  std::shared_ptr<Backend> backend_;
};

// Puts the plain database to the suite, which wants a namespace for each test: each is the
// namespace "default" of a database of its own. What the suite asks about namespaces is answered
// here.
class Databases : public Backend {
 public:
  Databases(Opening& opening, std::string url) : opening_(opening), url_(std::move(url)) {}

  [[nodiscard]] std::string description() const override { return "databases"; }
  io::Task<Result<std::vector<Namespace>>> namespaces() override {
    std::vector<Namespace> all;
    for (const auto& [title, id] : ids_) all.push_back({id, title});
    co_return all;
  }
  io::Task<Result<Namespace>> create_namespace(std::string_view title) override {
    if (title.empty() || title.size() > 512) co_return fail(ErrorCode::invalid_argument, "title");
    if (ids_.contains(title)) co_return fail(ErrorCode::conflict, "{}", title);
    const std::string id = fmt::to_string(++made_);
    ids_.emplace(title, id);
    co_return Namespace{id, std::string(title)};
  }
  io::Task<Result<>> rename_namespace(const Namespace& which, std::string_view title) override {
    const auto found = find(which.id);
    if (found == ids_.end()) co_return fail(ErrorCode::not_found, "{}", which.id);
    if (ids_.contains(title)) co_return fail(ErrorCode::conflict, "{}", title);
    ids_.emplace(title, found->second);
    ids_.erase(find(which.id));
    co_return Result<>{};
  }
  io::Task<Result<>> delete_namespace(const Namespace& which) override {
    if (find(which.id) == ids_.end()) co_return fail(ErrorCode::not_found, "{}", which.id);
    ids_.erase(find(which.id));
    co_return Result<>{};
  }
  io::Task<Result<Namespace>> find_namespace(std::string_view name) override {
    if (const auto found = ids_.find(name); found != ids_.end()) {
      co_return Namespace{found->second, found->first};
    }
    if (const auto found = find(name); found != ids_.end()) {
      co_return Namespace{found->second, found->first};
    }
    co_return fail(ErrorCode::not_found, "{}", name);
  }
  std::unique_ptr<Store> open(const Namespace& which) override;

  std::map<std::string, std::string, std::less<>>::iterator find(std::string_view id) {
    return std::ranges::find_if(ids_, [&](const auto& each) { return each.second == id; });
  }
  bool exists(std::string_view id) { return find(id) != ids_.end(); }

 private:
  Opening& opening_;
  std::string url_;
  std::map<std::string, std::string, std::less<>> ids_;
  int made_ = 0;
};

class Database : public Store {
 public:
  Database(Databases& all, std::string id, std::unique_ptr<Store> store)
      : all_(all), id_(std::move(id)), store_(std::move(store)) {}
  [[nodiscard]] const Capabilities& capabilities() const override { return store_->capabilities(); }
  io::Task<Result<Page>> list(ListRequest request) override {
    if (!all_.exists(id_)) co_return fail(ErrorCode::not_found, "{}", id_);
    co_return co_await store_->list(request);
  }
  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override {
    if (!all_.exists(id_)) co_return fail(ErrorCode::not_found, "{}", id_);
    co_return co_await store_->get(keys);
  }
  io::Task<Result<GetAnswer>> get_metadata(std::span<const std::string_view> keys) override {
    if (!all_.exists(id_)) co_return fail(ErrorCode::not_found, "{}", id_);
    co_return co_await store_->get_metadata(keys);
  }
  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override {
    if (!all_.exists(id_)) co_return fail(ErrorCode::not_found, "{}", id_);
    co_return co_await store_->put(entries);
  }
  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override {
    if (!all_.exists(id_)) co_return fail(ErrorCode::not_found, "{}", id_);
    co_return co_await store_->erase(keys);
  }

 private:
  Databases& all_;
  std::string id_;
  std::unique_ptr<Store> store_;
};

std::unique_ptr<Store> Databases::open(const Namespace& which) {
  const std::string number = exists(which.id) ? which.id : "0";
  auto backend = opening_.open(url_ + "/" + number);
  return std::make_unique<Database>(*this, which.id, backend->open({"default", "default"}));
}

class DatabasesFixture : public conformance::Fixture {
 public:
  explicit DatabasesFixture(io::Loop& loop)
      : server_({"--databases", "1000"}), opening_(loop), backend_(opening_, server_.url()) {}
  Backend& backend() override { return backend_; }

 private:
  RedisServer server_;
  Opening opening_;
  Databases backend_;
};

conformance::Subject namespaces(std::string name, std::vector<std::string> arguments) {
  return {.name = std::move(name), .open = [arguments](io::Loop& loop) {
            return std::make_unique<NamespacesFixture>(loop, arguments);
          }};
}

INSTANTIATE_TEST_SUITE_P(
    Redis, Conformance,
    testing::Values(namespaces("Namespaces", {}),
                    conformance::Subject{.name = "PlainDatabase",
                                         .open =
                                             [](io::Loop& loop) {
                                               return std::make_unique<DatabasesFixture>(loop);
                                             }},
                    // As Redis before 7.0.
                    namespaces("WithoutExpiretime", {"--rename-command", "EXPIRETIME", ""})),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace sluice::store
