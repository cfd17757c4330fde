// The routes by which a server is watched.
#pragma once

#include <chrono>
#include <functional>

#include "server/router.h"
#include "telemetry/metrics.h"

namespace sluice::server {

struct AdminOptions {
  // Whether what the server stands on answers; asked by /readyz.
  std::function<io::Task<Result<>>()> ready;
  // Anybody may ask /readyz, so `ready` is asked again only when its last answer is so old.
  io::Clock::duration ready_age = std::chrono::seconds(1);
  Guard guard{};  // of /metrics; the other two tell nothing that is worth a guard
};

// GET /healthz: 200 as long as the loop runs. GET /readyz: 200 when `ready` succeeds, else 503. GET
// /metrics: the metrics, as Prometheus reads them. `metrics` outlives the router.
void add_admin_routes(Router& router, const Metrics& metrics, AdminOptions options);

}  // namespace sluice::server
