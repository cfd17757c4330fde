// HttpMetrics: what a server counts of its requests.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "http/service.h"
#include "server/router.h"
#include "telemetry/metrics.h"

namespace sluice::server {

// Requests by route, method and status, never by path: a path holds what clients make up. One for
// each loop, over Metrics that all share. `metrics` outlives it.
class HttpMetrics {
 public:
  explicit HttpMetrics(Metrics& metrics);

  void connected() { connections_.add(1); }
  void disconnected() { connections_.add(-1); }
  void begun() { in_flight_.add(1); }
  void ended() { in_flight_.add(-1); }
  // `route` is null for what no route answers.
  void served(const Route* route, const http::Served& served);

 private:
  Histogram& durations(const Route* route, int status);

  Metrics& metrics_;
  Gauge connections_;
  Gauge in_flight_;
  Counter bytes_received_;
  Counter bytes_sent_;
  std::unordered_map<const Route*, std::map<int, Histogram>> durations_;
};

}  // namespace sluice::server
