#include "base/utf8.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <iterator>

namespace sluice {
namespace {

struct Character {
  utf8proc_int32_t code_point = -1;  // -1: one byte that is not UTF-8
  std::size_t bytes = 1;
};

// The character that `text`, which is not empty, begins with.
Character first_character(std::string_view text) {
  if (static_cast<unsigned char>(text[0]) < 0x80) {
    return {static_cast<unsigned char>(text[0]), 1};
  }
  utf8proc_int32_t code_point = -1;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const utf8proc_ssize_t length =
      utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size()), &code_point);
  if (length <= 0) return {};
  return {code_point, static_cast<std::size_t>(length)};
}

std::size_t width(const Character& character) {
  if (character.code_point < 0) return 1;
  const int columns = utf8proc_charwidth(character.code_point);
  return columns > 0 ? static_cast<std::size_t>(columns) : 0;
}

// Whether printing it could change more than the cells it is printed in: control characters, line
// and paragraph separators, and the marks of the bidirectional algorithm (Unicode UAX #9).
bool acts_on_the_terminal(utf8proc_int32_t code_point) {
  return code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0) || code_point == 0x061c ||
         (code_point >= 0x200e && code_point <= 0x200f) ||
         (code_point >= 0x2028 && code_point <= 0x202e) ||
         (code_point >= 0x2066 && code_point <= 0x2069);
}

}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const Character character = first_character(text);
    columns += width(character);
    text.remove_prefix(character.bytes);
  }
  return columns;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character character = first_character(text);
    if (character.code_point < 0) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else if (!acts_on_the_terminal(character.code_point)) {
      out.append(text.substr(0, character.bytes));
    } else {
      switch (character.code_point) {
        case '\n':
          out += "\\n";
          break;
        case '\r':
          out += "\\r";
          break;
        case '\t':
          out += "\\t";
          break;
        default:
          if (character.code_point < 0x80) {
            fmt::format_to(std::back_inserter(out), "\\x{:02x}", character.code_point);
          } else {
            fmt::format_to(std::back_inserter(out), "\\u{{{:04x}}}", character.code_point);
          }
      }
    }
    text.remove_prefix(character.bytes);
  }
  return out;
}

std::string truncated_to_width(std::string_view text, std::size_t columns) {
  if (display_width(text) <= columns) return std::string(text);
  if (columns == 0) return {};
  std::size_t taken = 0;
  std::size_t used = 0;
  while (true) {
    const Character character = first_character(text.substr(taken));
    if (used + width(character) > columns - 1) break;
    used += width(character);
    taken += character.bytes;
  }
  return std::string(text.substr(0, taken)) + "…";
}

}  // namespace sluice
