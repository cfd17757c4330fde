// What the tests of purges stand on: a service of their own, and a connection to it that does not
// wait long before it tries again.
#pragma once

#include <optional>
#include <string>

#include "store/cloudflare/connection.h"
#include "tests/cloudflare/fake.h"

namespace sluice::cdn {

class TestService {
 public:
  TestService(io::Executor executor, io::Stop& stop, Log& log,
              const cloudflare_fake::Options& options)
      : fake(options),
        url(fake.base_url()),
        environment{.executor = executor,
                    .stop = stop,
                    .log = log,
                    .setting = [this](std::string_view name) -> std::string {
                      if (name == "CLOUDFLARE_API_TOKEN") return "test-token";
                      return name == "CLOUDFLARE_API_BASE_URL" ? url : std::string();
                    },
                    .data_folder = {},
                    .gate = {},
                    .retry = {.attempts = 2, .base = std::chrono::milliseconds(1)}} {}
  TestService(const TestService&) = delete;
  TestService& operator=(const TestService&) = delete;

  [[nodiscard]] std::shared_ptr<store::cloudflare::Connection> connect() const {
    return *store::cloudflare::Connection::open(environment);
  }

  cloudflare_fake::FakeCloudflare fake;
  std::string url;  // where the next connection goes
  store::Environment environment;
};

}  // namespace sluice::cdn
