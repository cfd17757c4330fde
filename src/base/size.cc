#include "base/size.h"

#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "base/ascii.h"

namespace sluice {
namespace {

// The bytes of a unit: "", "b", "k", "kb", "ki", "kib", … in either case.
std::optional<std::uint64_t> unit_bytes(std::string_view unit) {
  std::string name;
  for (const char c : unit) name += ascii_lower(c);
  if (name.ends_with('b')) name.pop_back();
  if (name.empty()) return 1;
  constexpr std::string_view prefixes = "kmgt";
  const std::size_t power = prefixes.find(name[0]);
  if (power == std::string_view::npos) return std::nullopt;
  std::uint64_t base = 1000;
  if (name.size() == 2 && name[1] == 'i') {
    base = 1024;
  } else if (name.size() != 1) {
    return std::nullopt;
  }
  std::uint64_t bytes = base;
  for (std::size_t i = 0; i < power; ++i) bytes *= base;
  return bytes;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::unexpected<Error> malformed_size(std::string_view text) {
  return fail(ErrorCode::invalid_argument,
              "\"{}\" is not a size; write one like 512, 64kB, 100MB or 32MiB.", text);
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  if (text.empty() || !is_digit(text[0])) return malformed_size(text);
  std::uint64_t whole = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  std::string_view rest = text.substr(static_cast<std::size_t>(end - text.data()));
  std::string_view fraction;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    std::size_t digits = 0;
    while (digits < rest.size() && is_digit(rest[digits])) ++digits;
    fraction = rest.substr(0, digits);
    rest.remove_prefix(digits);
    // Six digits times a tebibyte still fit 64 bits.
    if (fraction.empty() || fraction.size() > 6) return malformed_size(text);
  }
  if (rest.starts_with(' ')) rest.remove_prefix(1);
  const std::optional<std::uint64_t> unit = unit_bytes(rest);
  if (!unit) return malformed_size(text);
  if (error == std::errc::result_out_of_range ||
      whole > std::numeric_limits<std::uint64_t>::max() / *unit) {
    return fail(ErrorCode::invalid_argument, "The size \"{}\" is too large.", text);
  }
  std::uint64_t numerator = 0;
  std::uint64_t denominator = 1;
  for (const char digit : fraction) {
    numerator = numerator * 10 + static_cast<std::uint64_t>(digit - '0');
    denominator *= 10;
  }
  const std::uint64_t part = numerator * *unit / denominator;
  const std::uint64_t bytes = whole * *unit;
  if (bytes > std::numeric_limits<std::uint64_t>::max() - part) {
    return fail(ErrorCode::invalid_argument, "The size \"{}\" is too large.", text);
  }
  return bytes + part;
}

Result<std::uint64_t> parse_count(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c == ',' && !digits.empty()) continue;
    if (!is_digit(c)) {
      return fail(ErrorCode::invalid_argument, "\"{}\" is not a whole number.", text);
    }
    digits += c;
  }
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  if (error == std::errc::result_out_of_range) {
    return fail(ErrorCode::invalid_argument, "The number {} is too large.", text);
  }
  if (error != std::errc{}) {
    return fail(ErrorCode::invalid_argument, "\"{}\" is not a whole number.", text);
  }
  return count;
}

std::string format_bytes(std::uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  constexpr std::array<std::string_view, 6> units{"kB", "MB", "GB", "TB", "PB", "EB"};
  std::uint64_t unit = 1000;
  std::size_t index = 0;
  // Rounding must not end in "1000.0 kB": the next unit begins where this one would be rounded up.
  while (index + 1 < units.size() && bytes >= unit * 1000 - unit / 20) {
    unit *= 1000;
    ++index;
  }
  std::uint64_t whole = bytes / unit;
  std::uint64_t tenths = (bytes % unit * 2 / (unit / 10) + 1) / 2;
  if (tenths == 10) {
    ++whole;
    tenths = 0;
  }
  return fmt::format("{}.{} {}", whole, tenths, units[index]);
}

std::string format_count(std::uint64_t count) {
  const std::string digits = fmt::format("{}", count);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string format_count(std::uint64_t count, std::string_view one, std::string_view several) {
  if (count == 1) return fmt::format("1 {}", one);
  if (!several.empty()) return fmt::format("{} {}", format_count(count), several);
  return fmt::format("{} {}s", format_count(count), one);
}

}  // namespace sluice
