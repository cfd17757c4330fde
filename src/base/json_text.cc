#include "base/json_text.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace sluice {
namespace {

bool needs_escape(unsigned char byte) {
  return byte < 0x20 || byte == '"' || byte == '\\';
}

// The high bit of each byte of the answer says that this byte of `word` is zero. Exact for the
// lowest such byte, which is the only one that is looked at (a borrow may mark bytes above it).
std::uint64_t zero_bytes(std::uint64_t word) {
  return (word - 0x0101010101010101u) & ~word & 0x8080808080808080u;
}

// How many bytes from the start of `text` can be copied as they are.
std::size_t clean_run(const char* text, std::size_t size) {
  std::size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text + at, 8);
    const std::uint64_t quote = zero_bytes(word ^ 0x2222222222222222u);
    const std::uint64_t backslash = zero_bytes(word ^ 0x5c5c5c5c5c5c5c5cu);
    // A byte below 0x20 has its three high bits clear.
    const std::uint64_t control = zero_bytes(word & 0xe0e0e0e0e0e0e0e0u);
    if (const std::uint64_t found = quote | backslash | control; found != 0) {
      // Little-endian: the first byte of the text is the lowest of the word.
      return at + static_cast<std::size_t>(std::countr_zero(found)) / 8;
    }
  }
  while (at < size && !needs_escape(static_cast<unsigned char>(text[at]))) ++at;
  return at;
}

void append_escape(std::string& out, char character) {
  switch (character) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  constexpr char digits[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(character);
  out += "\\u00";
  out += digits[byte >> 4];
  out += digits[byte & 0xf];
}

}  // namespace

static_assert(std::endian::native == std::endian::little, "clean_run reads words in this order");

void append_json_string(std::string& out, std::string_view utf8) {
  out += '"';
  while (true) {
    const std::size_t run = clean_run(utf8.data(), utf8.size());
    out.append(utf8.data(), run);
    if (run == utf8.size()) break;
    append_escape(out, utf8[run]);
    utf8.remove_prefix(run + 1);
  }
  out += '"';
}

}  // namespace sluice
