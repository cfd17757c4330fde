#include "base/duration.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <limits>

namespace sluice {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t milliseconds;
};

// From the largest to the smallest: the order in which they may follow each other.
constexpr std::array<Unit, 5> units{
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};

std::unexpected<Error> malformed(std::string_view text) {
  return fail(ErrorCode::invalid_argument,
              "\"{}\" is not a duration; write one like 500ms, 2s, 5m or 1h30m.", text);
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  std::string_view rest = text;
  std::int64_t total = 0;
  std::size_t next_unit = 0;
  if (rest.empty()) return malformed(text);
  while (!rest.empty()) {
    if (rest[0] < '0' || rest[0] > '9') return malformed(text);
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    const bool overflow = error == std::errc::result_out_of_range;
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    std::size_t letters = 0;
    while (letters < rest.size() && rest[letters] >= 'a' && rest[letters] <= 'z') ++letters;
    const std::string_view name = rest.substr(0, letters);
    if (name.empty() && text.find_first_not_of("0123456789") == std::string_view::npos) {
      return fail(ErrorCode::invalid_argument,
                  "The duration \"{}\" has no unit; write {}s or {}ms, for example.", text, text,
                  text);
    }
    while (next_unit < units.size() && units[next_unit].name != name) ++next_unit;
    if (next_unit == units.size()) return malformed(text);
    const std::int64_t factor = units[next_unit].milliseconds;
    ++next_unit;
    if (overflow || number > (std::numeric_limits<std::int64_t>::max() - total) / factor) {
      return fail(ErrorCode::invalid_argument, "The duration \"{}\" is too long.", text);
    }
    total += number * factor;
    rest.remove_prefix(letters);
  }
  return std::chrono::milliseconds{total};
}

std::string format_duration(std::chrono::milliseconds duration) {
  if (duration.count() == 0) return "0s";
  std::string out;
  // Through unsigned, since the least value has no positive counterpart.
  auto left = static_cast<std::uint64_t>(duration.count());
  if (duration.count() < 0) {
    out = "-";
    left = 0 - left;
  }
  for (const Unit& unit : units) {
    const auto factor = static_cast<std::uint64_t>(unit.milliseconds);
    if (left >= factor) out += fmt::format("{}{}", left / factor, unit.name);
    left %= factor;
  }
  return out;
}

std::string format_elapsed(std::chrono::nanoseconds elapsed) {
  const std::int64_t milliseconds = elapsed.count() < 0 ? 0 : elapsed.count() / 1'000'000;
  if (milliseconds < 1000) return fmt::format("{} ms", milliseconds);
  const std::int64_t seconds = milliseconds / 1000;
  if (seconds < 60) return fmt::format("{}.{} s", seconds, milliseconds % 1000 / 100);
  if (seconds < 3600) return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
  if (seconds < 86'400) return fmt::format("{}h{:02}m", seconds / 3600, seconds % 3600 / 60);
  return fmt::format("{}d{:02}h", seconds / 86'400, seconds % 86'400 / 3600);
}

}  // namespace sluice
