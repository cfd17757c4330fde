#include "store/cloudflare/list_cursor.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace sluice::store::cloudflare {

namespace {

// "skip=3;CURSOR". A cursor of the service that begins so itself is written with "skip=0;", so that
// nothing can be mistaken.
constexpr std::string_view mark = "skip=";

}  // namespace

ListCursor ListCursor::parse(std::string_view text) {
  const auto end = text.find(';');
  if (text.starts_with(mark) && end != std::string_view::npos) {
    const std::string_view digits = text.substr(mark.size(), end - mark.size());
    std::size_t skip = 0;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), skip);
    if (error == std::errc{} && stop == digits.data() + digits.size()) {
      constexpr std::size_t most = 1000;  // no page holds more
      return {std::string(text.substr(end + 1)), std::min(skip, most)};
    }
  }
  return {std::string(text), 0};
}

std::string ListCursor::text() const {
  if (skip == 0 && !service.starts_with(mark)) return service;
  return fmt::format("{}{};{}", mark, skip, service);
}

}  // namespace sluice::store::cloudflare
