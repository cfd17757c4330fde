// What a run has sent and received, for its summary.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

#include "progress_text.h"
#include "store/registry.h"

namespace sluice::cli {

// "; 12 requests, 1 retry, …, 3 kB sent, 2 kB received", to follow a sentence; "" if nothing was
// sent.
[[nodiscard]] std::string wire_text(const store::WireStats& wire);

// What of it a display of the progress tells.
[[nodiscard]] Traffic traffic_of(const store::WireStats& wire);

// Adds "requests", "retries", "throttled", "waited_milliseconds", "concurrency", "bytes_sent" and
// "bytes_received".
void add_wire(boost::json::object& object, const store::WireStats& wire);

}  // namespace sluice::cli
