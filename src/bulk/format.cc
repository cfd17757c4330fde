#include "bulk/format.h"

#include <array>
#include <span>
#include <utility>

#include "base/ascii.h"
#include "bulk/byte_order_mark.h"

namespace sluice::bulk {

namespace {

using Meaning = std::pair<std::string_view, std::string_view>;
constexpr std::array<Meaning, 5> kFormats{{{".ndjson", "ndjson"},
                                           {".jsonl", "ndjson"},
                                           {".json", "json"},
                                           {".csv", "csv"},
                                           {".keys", "keys"}}};
constexpr std::array<Meaning, 4> kCompressors{
    {{".gz", "gzip"}, {".zst", "zstd"}, {".xz", "xz"}, {".bz2", "bzip2"}}};

// What the ending of the name means; empty if it is none of these.
std::string_view meaning_of(std::string_view path, std::span<const Meaning> meanings) {
  const std::size_t dot = path.find_last_of("./");
  if (dot == std::string_view::npos) return {};
  const std::string_view ending = path.substr(dot);
  for (const auto& [known, meaning] : meanings) {
    if (same_but_for_case(ending, known)) return meaning;
  }
  return {};
}

}  // namespace

std::optional<Format> parse_format(std::string_view name) {
  if (name == "ndjson") return Format::ndjson;
  if (name == "json") return Format::json;
  if (name == "csv") return Format::csv;
  if (name == "keys") return Format::keys;
  return std::nullopt;
}

std::optional<Format> format_of_name(std::string_view path) {
  return parse_format(meaning_of(path, kFormats));
}

std::string_view compressor_of_name(std::string_view path) {
  return meaning_of(path, kCompressors);
}

std::string_view name(Format format) {
  switch (format) {
    case Format::ndjson:
      return "ndjson";
    case Format::json:
      return "json";
    case Format::csv:
      return "csv";
    case Format::keys:
      return "keys";
  }
  return "unknown";
}

std::optional<Format> detect_format(std::string_view beginning) {
  if (beginning.starts_with(kByteOrderMark)) beginning.remove_prefix(kByteOrderMark.size());
  const std::size_t first = beginning.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return std::nullopt;
  switch (beginning[first]) {
    case '[':
      return Format::json;
    case '{':
      return Format::ndjson;
    default:
      return Format::csv;
  }
}

}  // namespace sluice::bulk
