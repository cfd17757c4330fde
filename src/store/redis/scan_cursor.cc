#include "store/redis/scan_cursor.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/utf8.h"

namespace sluice::store::redis {

namespace {

// "redis1;RUN_ID;SCAN;LENGTH:KEYLENGTH:KEY…"
constexpr std::string_view kMark = "redis1;";
constexpr std::size_t kLongestRunId = 64;

// Takes what stands before `end` off `rest`.
std::optional<std::string_view> take(std::string_view& rest, char end) {
  const auto at = rest.find(end);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view part = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  return part;
}

std::optional<std::uint64_t> number(std::string_view digits) {
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || stop != digits.data() + digits.size()) return std::nullopt;
  // One way to write each number, so that one text is one cursor.
  if (digits.size() > 1 && digits.front() == '0') return std::nullopt;
  return value;
}

std::optional<ScanCursor> parsed(std::string_view rest, std::string_view prefix) {
  if (!rest.starts_with(kMark)) return std::nullopt;
  rest.remove_prefix(kMark.size());
  ScanCursor cursor;
  const auto run_id = take(rest, ';');
  if (!run_id || run_id->size() > kLongestRunId) return std::nullopt;
  cursor.run_id = *run_id;
  const auto scan = take(rest, ';');
  const auto position = scan ? number(*scan) : std::nullopt;
  if (!position) return std::nullopt;
  cursor.scan = *position;
  while (!rest.empty()) {
    const auto length = take(rest, ':');
    const auto size = length ? number(*length) : std::nullopt;
    if (!size || *size > rest.size()) return std::nullopt;
    const std::string_view key = rest.substr(0, *size);
    // Else a deletion by prefix would take keys of other prefixes.
    if (!key.starts_with(prefix)) return std::nullopt;
    cursor.keys.emplace_back(key);
    rest.remove_prefix(*size);
  }
  if (cursor.scan == 0 && cursor.keys.empty()) return std::nullopt;
  return cursor;
}

}  // namespace

std::string ScanCursor::text() const {
  if (scan == 0 && keys.empty()) return {};
  std::string text = fmt::format("{}{};{};", kMark, run_id, scan);
  for (const std::string& key : keys) text += fmt::format("{}:{}", key.size(), key);
  return text;
}

Result<ScanCursor> ScanCursor::parse(std::string_view text, std::string_view prefix) {
  if (auto cursor = parsed(text, prefix)) return std::move(*cursor);
  return fail(ErrorCode::invalid_argument,
              "the cursor \"{}\" is not one of this listing of Redis. Start it from its beginning.",
              truncated_to_width(printable(text), 80));
}

}  // namespace sluice::store::redis
