#include "wire_text.h"

#include <boost/json.hpp>
#include <chrono>

#include "base/size.h"

namespace sluice::cli {

std::string wire_text(const store::WireStats& wire) {
  if (wire.gate.sent == 0) return {};
  std::string text = "; " + format_count(wire.gate.sent, "request");
  if (wire.retries > 0) text += ", " + format_count(wire.retries, "retry", "retries");
  if (wire.gate.throttled > 0) text += ", throttled " + format_count(wire.gate.throttled, "time");
  const double waited = std::chrono::duration<double>(wire.gate.waited).count();
  if (waited >= 0.1) text += fmt::format(", waited {:.1f} s for the budget", waited);
  return text + fmt::format(", {} sent, {} received", format_bytes(wire.bytes_sent),
                            format_bytes(wire.bytes_received));
}

Traffic traffic_of(const store::WireStats& wire) {
  return {.requests = wire.gate.sent,
          .retries = wire.retries,
          .throttled = wire.gate.throttled,
          .opens_at = wire.gate.opens_at,
          .trouble = wire.trouble};
}

void add_wire(boost::json::object& object, const store::WireStats& wire) {
  object["requests"] = wire.gate.sent;
  object["retries"] = wire.retries;
  object["throttled"] = wire.gate.throttled;
  object["waited_milliseconds"] =
      std::chrono::duration_cast<std::chrono::milliseconds>(wire.gate.waited).count();
  object["concurrency"] = wire.gate.concurrency;
  object["bytes_sent"] = wire.bytes_sent;
  object["bytes_received"] = wire.bytes_received;
}

}  // namespace sluice::cli
