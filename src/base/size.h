// Sizes and counts as people write and read them. Independent of the locale.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

// Bytes: "100MB", "32MiB", "4k", "1.5G", "123". k, M, G, T (with or without B, in either case) are
// powers of 1000; Ki, Mi, Gi, Ti are powers of 1024. A fraction is cut to whole bytes.
Result<std::uint64_t> parse_size(std::string_view text);

// A whole number, perhaps with the thousands separators of format_count: "1000", "1,000".
Result<std::uint64_t> parse_count(std::string_view text);

// "999 B", "12.3 kB", "4.0 GB": powers of 1000, one digit after the point.
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

// "1,234,567".
[[nodiscard]] std::string format_count(std::uint64_t count);

// "1 request", "1,234 requests"; `several` where an s behind the noun is not enough.
[[nodiscard]] std::string format_count(std::uint64_t count, std::string_view one,
                                       std::string_view several = {});

}  // namespace sluice
