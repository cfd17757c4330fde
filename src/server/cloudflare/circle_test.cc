// The circle: the Cloudflare backend against this server, by the suite that every store has to
// pass.
#include <gtest/gtest.h>

#include "io/stop.h"
#include "server/cloudflare/api.h"
#include "server/router_service.h"
#include "server/server.h"
#include "store/cloudflare/cloudflare.h"
#include "store/conformance.h"
#include "store/memory/memory.h"

namespace sluice::store {
namespace {

using conformance::Conformance;

constexpr std::string_view kToken = "the-token-of-this-test";
// printf %s "the-token-of-this-test" | sha256sum
constexpr std::string_view kHash =
    "0a261aa6b398b5917b6da43ae78af1ccadfaf93bfae03102ffee853576271e6d";

// One loop's side of the server.
class Service : public http::Service {
 public:
  Service(Backend& backend, const server::cloudflare::Api::Options& options, Metrics& metrics,
          Log& log)
      : api_(backend, options), service_({.router = router_, .metrics = metrics, .log = log}) {
    api_.add_routes(router_, "/client/v4");
  }
  std::unique_ptr<http::Conversation> begin(std::string peer) override {
    return service_.begin(std::move(peer));
  }

 private:
  server::cloudflare::Api api_;
  server::Router router_;
  server::RouterService service_;
};

// A server of two loops over one store in memory, and the backend that speaks to it.
class CircleFixture : public conformance::Fixture {
 public:
  explicit CircleFixture(io::Loop& loop) : stop_(loop.executor()) {
    server::cloudflare::Api::Options options;
    options.tokens = std::make_shared<const server::Tokens>(
        server::Tokens::parse(fmt::format("[[token]]\nname = \"test\"\nsha256 = \"{}\"\n"
                                          "access = \"write\"\n",
                                          kHash),
                              "tokens.toml")
            .value());
    options.changes = std::make_shared<server::cloudflare::NamespaceChanges>(0);
    const auto make = [&](const server::Server::Surroundings& around) {
      server::cloudflare::Api::Options own = options;
      own.memory = &around.memory;
      return std::make_unique<Service>(*served_, own, metrics_, log_);
    };
    const server::Server::Options listening{
        .listen = server::parse_listen_address("127.0.0.1:0").value(), .threads = 2};
    server_ = std::move(server::Server::start(listening, make, log_).value());
    const Environment environment{
        .executor = loop.executor(),
        .stop = stop_,
        .log = log_,
        .setting = [this](std::string_view name) -> std::string {
          if (name == "CLOUDFLARE_API_BASE_URL") {
            return fmt::format("http://{}/client/v4", server_->address().text());
          }
          return name == "CLOUDFLARE_API_TOKEN" ? std::string(kToken) : std::string();
        },
        .data_folder = {},
        .gate = {},
        .retry = {}};
    opened_ = open_cloudflare("0123456789abcdef0123456789abcdef", environment).value();
  }
  Backend& backend() override { return *opened_.backend; }

 private:
  Log log_{LogLevel::off};
  Metrics metrics_;
  std::unique_ptr<Backend> served_ = make_memory_backend();
  std::unique_ptr<server::Server> server_;
  io::Stop stop_;
  Opened opened_;
};

conformance::Subject circle() {
  return {.name = "Served",
          .open = [](io::Loop& loop) { return std::make_unique<CircleFixture>(loop); },
          .many = 5'000,
          .property_runs = 20};
}

INSTANTIATE_TEST_SUITE_P(Circle, Conformance, testing::Values(circle()),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace sluice::store
