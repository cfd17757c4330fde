// Values as PostgreSQL's binary formats have them: big-endian numbers, bytes with their length
// before them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::postgres {

// Object ids of types that are the same in every database (pg_type.dat).
namespace oid {
inline constexpr std::uint32_t bytea = 17;
inline constexpr std::uint32_t int8 = 20;
inline constexpr std::uint32_t text = 25;
inline constexpr std::uint32_t json = 114;
inline constexpr std::uint32_t timestamptz = 1184;
inline constexpr std::uint32_t bytea_array = 1001;
}  // namespace oid

void append_int16(std::string& out, std::int16_t value);
void append_int32(std::string& out, std::int32_t value);
void append_int64(std::string& out, std::int64_t value);
// Requires eight bytes.
[[nodiscard]] std::int64_t read_int64(std::string_view bytes);

// Seconds since 1970 as a timestamptz (microseconds since 2000), and back, rounded down; the
// timestamp "infinity" is no time at all.
[[nodiscard]] std::int64_t to_timestamp(std::int64_t unix_seconds);
[[nodiscard]] std::optional<std::int64_t> from_timestamp(std::int64_t timestamp);
// The first second that a timestamptz cannot hold (the year 294277).
inline constexpr std::int64_t kEndOfTime = 9'224'318'016'000;

// An array of one dimension, as arrays of bytea are sent. Requires fewer than 2^31 bytes in all.
[[nodiscard]] std::string bytea_array(std::span<const std::string_view> values);

// COPY … WITH (FORMAT binary): what comes before the first row, and behind the last.
inline constexpr std::string_view kCopyHeader{"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19};
inline constexpr std::string_view kCopyTrailer{"\377\377", 2};

}  // namespace sluice::postgres
