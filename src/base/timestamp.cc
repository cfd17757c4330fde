#include "base/timestamp.h"

#include <charconv>
#include <chrono>
#include <optional>

namespace sluice {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Takes exactly `digits` digits from the front of `text`.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int number = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (!is_digit(text[i])) return std::nullopt;
    number = number * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return number;
}

bool take(std::string_view& text, std::string_view one_of) {
  if (text.empty() || one_of.find(text[0]) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<std::int64_t> parse_date(std::string_view& text) {
  const std::optional<int> year = take_number(text, 4);
  if (!year || !take(text, "-")) return std::nullopt;
  const std::optional<int> month = take_number(text, 2);
  if (!month || !take(text, "-")) return std::nullopt;
  const std::optional<int> day = take_number(text, 2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*year},
                                         std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days{date}.time_since_epoch().count() * std::int64_t{86'400};
}

// "12:34:56" → seconds of the day. A leap second counts as the one after it.
std::optional<std::int64_t> parse_time(std::string_view& text, bool with_seconds) {
  const std::optional<int> hour = take_number(text, 2);
  if (!hour || *hour > 23 || !take(text, ":")) return std::nullopt;
  const std::optional<int> minute = take_number(text, 2);
  if (!minute || *minute > 59) return std::nullopt;
  std::int64_t seconds = *hour * 3600 + *minute * 60;
  if (with_seconds) {
    if (!take(text, ":")) return std::nullopt;
    const std::optional<int> second = take_number(text, 2);
    if (!second || *second > 60) return std::nullopt;
    seconds += *second;
  }
  return seconds;
}

std::optional<std::int64_t> parse_rfc3339(std::string_view text) {
  const std::optional<std::int64_t> date = parse_date(text);
  if (!date || text.empty()) return date;
  if (!take(text, "Tt ")) return std::nullopt;
  const std::optional<std::int64_t> time = parse_time(text, true);
  if (!time) return std::nullopt;
  if (take(text, ".")) {
    if (text.empty() || !is_digit(text[0])) return std::nullopt;
    while (!text.empty() && is_digit(text[0])) text.remove_prefix(1);
  }
  std::int64_t offset = 0;
  if (!take(text, "Zz")) {
    const bool west = text.starts_with('-');
    if (!take(text, "+-")) return std::nullopt;
    const std::optional<std::int64_t> ahead = parse_time(text, false);
    if (!ahead) return std::nullopt;
    offset = west ? -*ahead : *ahead;
  }
  if (!text.empty()) return std::nullopt;
  return *date + *time - offset;
}

}  // namespace

Result<std::int64_t> parse_timestamp(std::string_view text) {
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc{} && end == text.data() + text.size()) return seconds;
  if (const std::optional<std::int64_t> parsed = parse_rfc3339(text)) return *parsed;
  return fail(ErrorCode::invalid_argument,
              "\"{}\" is not a moment; write Unix seconds or a time like 2030-01-31T12:00:00Z.",
              text);
}

namespace {
constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
}

std::string format_http_date(std::int64_t unix_seconds) {
  const std::chrono::sys_seconds moment{std::chrono::seconds{unix_seconds}};
  const auto day = std::chrono::floor<std::chrono::days>(moment);
  const std::chrono::year_month_day date{day};
  const std::int64_t second = (moment - day).count();
  constexpr std::string_view weekdays = "SunMonTueWedThuFriSat";
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                     weekdays.substr(3 * std::chrono::weekday{day}.c_encoding(), 3),
                     static_cast<unsigned>(date.day()),
                     months.substr(3 * (static_cast<unsigned>(date.month()) - 1), 3),
                     static_cast<int>(date.year()), second / 3600, second / 60 % 60, second % 60);
}

Result<std::int64_t> parse_http_date(std::string_view text) {
  // "Sun, 06 Nov 1994 08:49:37 GMT": every part has its fixed place.
  const bool shaped = text.size() == 29 && text.substr(3, 2) == ", " && text[7] == ' ' &&
                      text[11] == ' ' && text[16] == ' ' && text.ends_with(" GMT");
  const std::size_t month = shaped ? months.find(text.substr(8, 3)) : std::string_view::npos;
  if (month != std::string_view::npos && month % 3 == 0) {
    const std::string date = fmt::format("{}-{:02}-{}T{}Z", text.substr(12, 4), month / 3 + 1,
                                         text.substr(5, 2), text.substr(17, 8));
    if (const std::optional<std::int64_t> parsed = parse_rfc3339(date)) return *parsed;
  }
  return fail(ErrorCode::protocol, "The date of the answer, \"{}\", is not one that HTTP allows.",
              text);
}

std::string format_timestamp(std::int64_t unix_seconds) {
  // 0000-01-01 and 9999-12-31T23:59:59.
  if (unix_seconds < -62'167'219'200 || unix_seconds > 253'402'300'799) {
    return fmt::format("{}", unix_seconds);
  }
  const std::chrono::sys_seconds moment{std::chrono::seconds{unix_seconds}};
  const auto day = std::chrono::floor<std::chrono::days>(moment);
  const std::chrono::year_month_day date{day};
  const std::int64_t second = (moment - day).count();
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     second / 3600, second / 60 % 60, second % 60);
}

}  // namespace sluice
