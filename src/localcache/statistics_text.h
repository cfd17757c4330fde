// The statistics in the formats that people and programs read.
#pragma once

#include <string>
#include <string_view>

#include "localcache/statistics.h"

namespace sluice::localcache {

// {"write_cache":{"count":150,"total":2250,"avg":15,"p50":14,"p95":20,"p99":31},…}: milliseconds,
// with as many decimals as it takes; one object, no line end.
std::string statistics_json(const StatisticsView& view);

// The last operations, oldest first: "timestamp,operation,duration_ms" and a line each; timestamps
// are Unix seconds with three decimals.
std::string statistics_csv(const StatisticsView& view);

// The text format of Prometheus, for the textfile collector of node_exporter.
std::string statistics_prometheus(const StatisticsView& view, std::string_view cache_namespace);

}  // namespace sluice::localcache
