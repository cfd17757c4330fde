// Moments as people and services write them: Unix seconds and RFC 3339.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

// Unix seconds ("1893456000") or RFC 3339 ("2030-01-01T00:00:00Z", "…+02:00"; a fraction of a
// second is dropped; a date alone is its midnight in UTC) → Unix seconds.
Result<std::int64_t> parse_timestamp(std::string_view text);

// RFC 3339 in UTC: "2030-01-01T00:00:00Z". Years beyond 0..9999 are written as bare seconds.
[[nodiscard]] std::string format_timestamp(std::int64_t unix_seconds);

// The Date header of an HTTP answer, in the form that servers must send (RFC 9110, section 5.6.7):
// "Sun, 06 Nov 1994 08:49:37 GMT" → Unix seconds.
Result<std::int64_t> parse_http_date(std::string_view text);
[[nodiscard]] std::string format_http_date(std::int64_t unix_seconds);

}  // namespace sluice
