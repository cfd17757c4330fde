#include "postgres/binary.h"

#include <bit>
#include <cstring>
#include <limits>

namespace sluice::postgres {

namespace {

static_assert(std::endian::native == std::endian::little);

// From 1970-01-01 to 2000-01-01.
constexpr std::int64_t kEpochSeconds = 946'684'800;
constexpr std::int64_t kMicroseconds = 1'000'000;

template <class Number>
void append_number(std::string& out, Number value) {
  const Number swapped = std::byteswap(value);
  char bytes[sizeof swapped];
  std::memcpy(bytes, &swapped, sizeof swapped);
  out.append(bytes, sizeof bytes);
}

}  // namespace

void append_int16(std::string& out, std::int16_t value) {
  append_number(out, value);
}
void append_int32(std::string& out, std::int32_t value) {
  append_number(out, value);
}
void append_int64(std::string& out, std::int64_t value) {
  append_number(out, value);
}

std::int64_t read_int64(std::string_view bytes) {
  std::int64_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return std::byteswap(value);
}

std::int64_t to_timestamp(std::int64_t unix_seconds) {
  return (unix_seconds - kEpochSeconds) * kMicroseconds;
}

std::optional<std::int64_t> from_timestamp(std::int64_t timestamp) {
  if (timestamp == std::numeric_limits<std::int64_t>::max() ||
      timestamp == std::numeric_limits<std::int64_t>::min()) {
    return std::nullopt;
  }
  std::int64_t seconds = timestamp / kMicroseconds;
  if (timestamp % kMicroseconds < 0) --seconds;
  return seconds + kEpochSeconds;
}

std::string bytea_array(std::span<const std::string_view> values) {
  std::size_t size = 20;
  for (const std::string_view value : values) size += 4 + value.size();
  std::string out;
  out.reserve(size);
  append_int32(out, values.empty() ? 0 : 1);  // dimensions
  append_int32(out, 0);                       // no element is null
  append_int32(out, static_cast<std::int32_t>(oid::bytea));
  if (values.empty()) return out;
  append_int32(out, static_cast<std::int32_t>(values.size()));
  append_int32(out, 1);  // the index of the first one
  for (const std::string_view value : values) {
    append_int32(out, static_cast<std::int32_t>(value.size()));
    out += value;
  }
  return out;
}

}  // namespace sluice::postgres
