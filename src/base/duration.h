// Durations as people write them: 500ms, 2s, 5m, 1h, 1h30m.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

// Reads a sequence of whole numbers with the units d, h, m, s, ms, from the largest unit to the
// smallest, each at most once. A bare number is refused, since nothing tells its unit.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// What parse_duration reads back: "1h30m", "2s500ms", "0s". Exact. A negative duration has a "-"
// before it.
[[nodiscard]] std::string format_duration(std::chrono::milliseconds duration);

// For summaries and progress displays: two significant parts at most, "850 ms", "3.2 s", "4m05s",
// "2h07m", "3d04h". Not read back.
[[nodiscard]] std::string format_elapsed(std::chrono::nanoseconds elapsed);

}  // namespace sluice
