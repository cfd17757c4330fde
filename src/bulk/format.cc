#include "bulk/format.h"

#include "bulk/byte_order_mark.h"

namespace sluice::bulk {

std::optional<Format> parse_format(std::string_view name) {
  if (name == "ndjson") return Format::ndjson;
  if (name == "json") return Format::json;
  if (name == "csv") return Format::csv;
  if (name == "keys") return Format::keys;
  return std::nullopt;
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
