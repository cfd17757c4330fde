#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "bulk/selection.h"
#include "require.h"

namespace {

using namespace sluice;

bool matches(const bulk::Selection& selection, std::string_view key, std::string_view metadata) {
  const Result<bulk::Filter> filter = bulk::Filter::compile(selection);
  return filter && filter->matches(key, metadata);
}

// The same as --search, by another parser, for ASCII.
bool found(const boost::json::value& value, std::string_view lower) {
  switch (value.kind()) {
    case boost::json::kind::object:
      return std::any_of(value.get_object().begin(), value.get_object().end(),
                         [&](const auto& field) { return found(field.value(), lower); });
    case boost::json::kind::array:
      return std::any_of(value.get_array().begin(), value.get_array().end(),
                         [&](const auto& element) { return found(element, lower); });
    case boost::json::kind::string: {
      std::string text(value.get_string());
      for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
      return text.find(lower) != std::string::npos;
    }
    default:
      return false;
  }
}

}  // namespace

// Up to the first line feed, the text that is looked for; then the metadata.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = input.find('\n');
  if (end == std::string_view::npos || end == 0) return 0;
  const std::string text(input.substr(0, end));
  const std::string_view metadata = input.substr(end + 1);

  matches({.pattern = text}, metadata, "");
  const bool by_search = matches({.search = text}, "key", metadata);
  const bool by_field = matches({.tag_field = text}, "key", metadata);
  const bool by_value = matches({.tag_field = text, .tag_value = text}, "key", metadata);
  fuzz::require(!by_value || by_field, "a field that has a value exists");
  fuzz::require(!by_value || by_search, "a value that is a tag is found by a search");

  boost::json::error_code error;
  boost::json::parse_options options;
  options.max_depth = 150;
  const boost::json::value value =
      boost::json::parse({metadata.data(), metadata.size()}, error, {}, options);
  if (error) return 0;
  bool letters = true;  // not the text of a number or a boolean, nor changed by folding
  for (const char c : input) letters = letters && static_cast<unsigned char>(c) < 0x80;
  letters =
      letters && text.find_first_not_of("ghijkmnopqvwxyz_/GHIJKMNOPQVWXYZ") == std::string::npos;
  if (!letters || metadata.find("\\u") != std::string_view::npos) return 0;
  std::string lower = text;
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
  fuzz::require(by_search == found(value, lower), "both parsers find the same");
  return 0;
}
