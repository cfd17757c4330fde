#include "http/rate_headers.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>

namespace sluice::http {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Larger quotas and windows are mistakes, or no limit at all.
constexpr std::uint64_t most_requests = 1'000'000'000;
constexpr std::uint64_t longest_window_seconds = 7 * 86'400;

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  if (text.empty() || !std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  // All digits and yet no number: too many of them.
  if (error == std::errc::result_out_of_range) return UINT64_MAX;
  return number;
}

milliseconds bounded_seconds(std::uint64_t count) {
  const auto most = static_cast<std::uint64_t>(longest_told_pause / seconds(1));
  return seconds(std::min(count, most));
}

// Cuts `text` at the first `separator` that is outside of quotes; the rest stays in `text`.
std::string_view take_part(std::string_view& text, char separator) {
  bool quoted = false;
  std::size_t end = 0;
  for (; end < text.size(); ++end) {
    if (text[end] == '"') quoted = !quoted;
    if (text[end] == separator && !quoted) break;
  }
  const std::string_view part = trim(text.substr(0, end));
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

// The two numbers of one policy of a list: `"name";a=1;b=2`. In older drafts a number stands in the
// place of the name, and is the first: `1;b=2`.
struct Pair {
  std::optional<std::uint64_t> first;
  std::optional<std::uint64_t> second;
};

Pair parse_item(std::string_view item, char first, char second) {
  Pair pair;
  pair.first = parse_number(take_part(item, ';'));
  while (!item.empty()) {
    const std::string_view parameter = take_part(item, ';');
    if (parameter.size() < 3 || parameter[1] != '=') continue;
    if (parameter[0] == first) pair.first = parse_number(parameter.substr(2));
    if (parameter[0] == second) pair.second = parse_number(parameter.substr(2));
  }
  return pair;
}

}  // namespace

std::optional<milliseconds> parse_retry_after(std::string_view value,
                                              std::chrono::system_clock::time_point now) {
  value = trim(value);
  if (const auto number = parse_number(value)) return bounded_seconds(*number);
  // A date begins with the name of a day; curl_getdate would also take less.
  if (value.empty() || value[0] < 'A' || value[0] > 'Z') return std::nullopt;
  const std::time_t date = curl_getdate(std::string(value).c_str(), nullptr);
  if (date == -1) return std::nullopt;
  // In whole seconds: a far date would overflow the clock's nanoseconds.
  const std::time_t today = std::chrono::system_clock::to_time_t(now);
  return date <= today ? milliseconds(0)
                       : bounded_seconds(static_cast<std::uint64_t>(date - today));
}

void parse_ratelimit(std::string_view value, flow::BudgetHint& hint) {
  while (!value.empty()) {
    const Pair item = parse_item(take_part(value, ','), 'r', 't');
    if (!item.first || *item.first > most_requests) continue;
    if (hint.remaining && *hint.remaining <= *item.first) continue;
    hint.remaining = static_cast<std::size_t>(*item.first);
    hint.reset_after.reset();
    if (item.second) hint.reset_after = bounded_seconds(*item.second);
  }
}

void parse_ratelimit_policy(std::string_view value, flow::BudgetHint& hint) {
  const auto rate = [](const flow::Quota& quota) {
    return static_cast<double>(quota.requests) /
           std::chrono::duration<double>(quota.window).count();
  };
  std::optional<flow::Quota> slowest;
  std::optional<flow::Quota> shortest;
  while (!value.empty()) {
    const Pair item = parse_item(take_part(value, ','), 'q', 'w');
    if (!item.first || !item.second) continue;
    if (*item.first == 0 || *item.first > most_requests) continue;
    if (*item.second == 0 || *item.second > longest_window_seconds) continue;
    const flow::Quota quota{.requests = static_cast<std::size_t>(*item.first),
                            .window = seconds(*item.second)};
    if (!slowest || rate(quota) < rate(*slowest)) slowest = quota;
    if (!shortest || quota.window < shortest->window) shortest = quota;
  }
  hint.quotas = {};
  if (slowest) hint.quotas.add(*slowest);
  if (slowest && shortest->window < slowest->window) hint.quotas.add(*shortest);
}

RateHeaders read_rate_headers(const Headers& headers, std::chrono::system_clock::time_point now) {
  RateHeaders told;
  if (const auto value = headers.find("retry-after")) {
    told.retry_after = parse_retry_after(*value, now);
  }
  if (const auto value = headers.find("ratelimit")) parse_ratelimit(*value, told.hint);
  if (const auto value = headers.find("ratelimit-policy")) {
    parse_ratelimit_policy(*value, told.hint);
  }
  if (told.hint.remaining) return told;
  auto remaining = headers.find("x-ratelimit-remaining");
  auto reset = headers.find("x-ratelimit-reset");
  if (!remaining) remaining = headers.find("ratelimit-remaining");
  if (!reset) reset = headers.find("ratelimit-reset");
  if (!remaining || !reset) return told;
  const auto left = parse_number(trim(*remaining));
  auto until = parse_number(trim(*reset));
  if (!left || *left > most_requests || !until) return told;
  // GitHub and others tell the time of the reset instead of the seconds until then.
  constexpr std::uint64_t surely_a_date = 1'000'000'000;
  if (*until >= surely_a_date) {
    const auto today = static_cast<std::uint64_t>(std::chrono::system_clock::to_time_t(now));
    until = *until > today ? *until - today : 0;
  }
  told.hint.remaining = static_cast<std::size_t>(*left);
  told.hint.reset_after = bounded_seconds(*until);
  return told;
}

}  // namespace sluice::http
