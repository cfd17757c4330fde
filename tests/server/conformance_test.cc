// Our client against our server: the suite that every store has to pass, over HTTP and back, on
// stores of ours. What both of them misunderstood in the same way would pass here; the foreign
// client is in tests/e2e/test_wrangler.py.
#include "store/conformance.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "server/cloudflare/api.h"
#include "server/router_service.h"
#include "server/server.h"
#include "store/cloudflare/cloudflare.h"
#include "store/memory/memory.h"

namespace sluice::store {
namespace {

using conformance::Conformance;

// A server with two loops over a store, and the backend that speaks to it.
class ServedFixture : public conformance::Fixture {
 public:
  ServedFixture(io::Loop& loop, const std::string& url) : stop_(loop.executor()) {
    if (url == "sqlite:")
      folder_ =
          std::filesystem::temp_directory_path() / fmt::format("sluice-served-{}", ::getpid());
    if (!folder_.empty()) std::filesystem::create_directories(folder_);
    auto store = open_backend(folder_.empty() ? url : url + (folder_ / "served.db").string(),
                              environment(loop));
    if (!store) throw std::runtime_error(store.error().message);
    store_ = std::move(*store);
    server::Server::Options options{.listen = *server::parse_listen_address("127.0.0.1:0"),
                                    .threads = 2};
    auto started = server::Server::start(
        options, [this](const server::Server::Surroundings& around) { return serve(around); },
        log_);
    if (!started) throw std::runtime_error(started.error().message);
    server_ = std::move(*started);
    auto opened = open_cloudflare("0123456789abcdef0123456789abcdef", environment(loop));
    if (!opened) throw std::runtime_error(opened.error().message);
    client_ = std::move(*opened);
  }
  ~ServedFixture() override {
    client_ = {};
    server_.reset();
    store_ = {};
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }

  Backend& backend() override { return *client_.backend; }

 private:
  // One loop's part of the server.
  struct Served : http::Service {
    Served(ServedFixture& fixture, const server::Server::Surroundings& around)
        : api(*fixture.store_.backend, {.memory = &around.memory, .changes = fixture.changes_}),
          service({.router = router, .metrics = fixture.metrics_, .log = fixture.log_}) {
      api.add_routes(router, "/client/v4");
    }
    std::unique_ptr<http::Conversation> begin(std::string peer) override {
      return service.begin(std::move(peer));
    }
    server::Router router;
    server::cloudflare::Api api;
    server::RouterService service;
  };

  std::unique_ptr<http::Service> serve(const server::Server::Surroundings& around) {
    return std::make_unique<Served>(*this, around);
  }
  Environment environment(io::Loop& loop) {
    return {.executor = loop.executor(),
            .stop = stop_,
            .log = log_,
            .setting = [this](std::string_view name) -> std::string {
              if (name == "CLOUDFLARE_API_BASE_URL") {
                return fmt::format("http://{}/client/v4", server_->address().text());
              }
              return name == "CLOUDFLARE_API_TOKEN" ? "any" : "";
            },
            .data_folder = {},
            .gate = {},
            .retry = {},
            .readers = 2};
  }

  std::filesystem::path folder_;
  io::Stop stop_;
  Log log_{LogLevel::off};
  Metrics metrics_;
  std::shared_ptr<server::cloudflare::NamespaceChanges> changes_ =
      std::make_shared<server::cloudflare::NamespaceChanges>(0);
  Opened store_;
  std::unique_ptr<server::Server> server_;
  Opened client_;
};

conformance::Subject subject(std::string name, std::string url) {
  return {.name = std::move(name),
          .open = [url = std::move(url)](
                      io::Loop& loop) { return std::make_unique<ServedFixture>(loop, url); },
          .many = 5'000,
          .property_runs = 20};
}

INSTANTIATE_TEST_SUITE_P(Served, Conformance,
                         testing::Values(subject("Memory", "memory:"),
                                         subject("Sqlite", "sqlite:")),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace sluice::store
