// Opening: what the tests of Redis open backends with.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include "store/registry.h"

namespace sluice::store::redis {

// A backend with all that it needs to live.
struct Opening {
  explicit Opening(io::Loop& loop) : stop(loop.executor()), executor(loop.executor()) {}

  Environment environment() {
    Environment made{.executor = executor,
                     .stop = stop,
                     .log = log,
                     .setting =
                         [this](std::string_view name) {
                           const auto found = settings.find(name);
                           return found != settings.end() ? found->second : std::string();
                         },
                     .data_folder = {},
                     .gate = {},
                     .retry = retry,
                     .request_timeout = timeout};
    return made;
  }
  std::shared_ptr<Backend> open(const std::string& url) {
    auto made = open_backend(url, environment());
    if (!made) throw std::runtime_error(made.error().message);
    stats = made->wire_stats;
    return std::move(made->backend);
  }

  io::Stop stop;
  io::Executor executor;
  Log log{LogLevel::off};
  std::map<std::string, std::string, std::less<>> settings;
  flow::RetryPolicy retry{.attempts = 4, .base = std::chrono::milliseconds(20)};
  std::chrono::milliseconds timeout{20'000};
  std::function<WireStats()> stats;
};

}  // namespace sluice::store::redis
