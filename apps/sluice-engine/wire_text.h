// What a run has sent and received, for its summary.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

#include "store/registry.h"

namespace sluice::cli {

// "; 12 requests, 1 retries, …, 3 kB sent, 2 kB received", to follow a sentence; "" if nothing was
// sent.
[[nodiscard]] std::string wire_text(const store::WireStats& wire);

// Adds "requests", "retries", "throttled", "waited_milliseconds", "concurrency", "bytes_sent" and
// "bytes_received".
void add_wire(boost::json::object& object, const store::WireStats& wire);

}  // namespace sluice::cli
