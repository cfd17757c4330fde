#include "server/http_metrics.h"

#include <chrono>

namespace sluice::server {

HttpMetrics::HttpMetrics(Metrics& metrics)
    : metrics_(metrics),
      connections_(metrics.gauge("sluice_http_connections", "Open connections")),
      in_flight_(metrics.gauge("sluice_http_requests_in_flight", "Requests being answered")),
      bytes_received_(
          metrics.counter("sluice_http_request_bytes_total", "Bytes of the bodies received")),
      bytes_sent_(metrics.counter("sluice_http_response_bytes_total", "Bytes of the bodies sent")) {
}

Histogram& HttpMetrics::durations(const Route* route, int status) {
  std::map<int, Histogram>& of_route = durations_[route];
  if (const auto found = of_route.find(status); found != of_route.end()) return found->second;
  const Metrics::Labels labels{{"route", route != nullptr ? route->name : "none"},
                               {"method", route != nullptr ? route->method : "none"},
                               {"status", std::to_string(status)}};
  return of_route
      .emplace(status,
               metrics_.durations("sluice_http_request_duration_seconds",
                                  "From a request's head to its answer's last byte", labels))
      .first->second;
}

void HttpMetrics::served(const Route* route, const http::Served& served) {
  durations(route, served.response.status)
      .observe(std::chrono::duration<double>(served.time).count());
  if (served.bytes_received > 0) bytes_received_.add(static_cast<double>(served.bytes_received));
  if (served.bytes_sent > 0) bytes_sent_.add(static_cast<double>(served.bytes_sent));
}

}  // namespace sluice::server
