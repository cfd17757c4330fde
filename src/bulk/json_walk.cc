#include "bulk/json_walk.h"

#include <algorithm>
#include <cstring>

namespace sluice::bulk {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Longer texts are rare enough to pay for their memory anew.
constexpr std::size_t kKeptBuffer = std::size_t{1} << 20;

}  // namespace

bool is_json_number(std::string_view text) {
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto digits = [&] {
    const char* const from = at;
    while (at != end && is_digit(*at)) ++at;
    return at != from;
  };
  if (at != end && *at == '-') ++at;
  if (at != end && *at == '0') {
    ++at;
  } else if (!digits()) {
    return false;
  }
  if (at != end && *at == '.') {
    ++at;
    if (!digits()) return false;
  }
  if (at != end && (*at == 'e' || *at == 'E')) {
    ++at;
    if (at != end && (*at == '+' || *at == '-')) ++at;
    if (!digits()) return false;
  }
  return at == end;
}

bool has_valid_escapes(std::string_view text) {
  std::size_t at = text.find('\\');
  while (at != std::string_view::npos) {
    if (at + 1 >= text.size()) return false;
    const char c = text[at + 1];
    if (c == 'u') {
      if (at + 6 > text.size() || !is_hex(text[at + 2]) || !is_hex(text[at + 3]) ||
          !is_hex(text[at + 4]) || !is_hex(text[at + 5])) {
        return false;
      }
      at += 6;
    } else if (std::strchr("\"\\/bfnrt", c) != nullptr && c != '\0') {
      at += 2;
    } else {
      return false;
    }
    at = text.find('\\', at);
  }
  return true;
}

std::string_view PaddedText::assign(std::string_view before, std::string_view text,
                                    std::string_view after) {
  const std::size_t size = before.size() + text.size() + after.size();
  if (buffer_.size() < size + simdjson::SIMDJSON_PADDING) {
    buffer_.clear();  // nothing in it is worth copying
    buffer_.resize(std::max(size, std::min(2 * size, kKeptBuffer / 2)) +
                   simdjson::SIMDJSON_PADDING);
  }
  char* at = buffer_.data();
  at += before.copy(at, before.size());
  at += text.copy(at, text.size());
  at += after.copy(at, after.size());
  // The first byte behind the text decides whether simdjson takes a document that lacks its end for
  // a complete one.
  std::memset(at, 0, simdjson::SIMDJSON_PADDING);
  return {buffer_.data(), size};
}

void PaddedText::shrink() {
  if (buffer_.size() > kKeptBuffer) std::string().swap(buffer_);
}

}  // namespace sluice::bulk
