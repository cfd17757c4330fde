// RouterService: what stands between a connection and the handlers.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "http/service.h"
#include "server/access_log.h"
#include "server/http_metrics.h"
#include "server/router.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

namespace sluice::server {

// Finds the route of a request, asks its guard, runs its handler, gives errors their face, and
// tells the metrics and the access log. What it is given outlives it. One for each loop.
class RouterService : public http::Service {
 public:
  struct Parts {
    const Router& router;
    Metrics& metrics;
    Log& log;
    AccessLog* access_log = nullptr;  // null: none is written
  };
  explicit RouterService(const Parts& parts) : parts_(parts), metrics_(parts.metrics) {}

  std::unique_ptr<http::Conversation> begin(std::string peer) override;
  void broke(std::string_view what) override;

 private:
  friend class RoutedConversation;
  Parts parts_;
  HttpMetrics metrics_;
};

}  // namespace sluice::server
