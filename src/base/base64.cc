#include "base/base64.h"

#include <array>
#include <cstdint>

namespace sluice {
namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::uint8_t not_a_digit = 0xff;

// The value of each character, or not_a_digit.
constexpr std::array<std::uint8_t, 256> digit_values = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(not_a_digit);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}();

std::uint32_t byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

}  // namespace

void append_base64(std::string& out, std::string_view bytes) {
  const std::size_t start = out.size();
  out.resize(start + (bytes.size() + 2) / 3 * 4);
  char* to = out.data() + start;
  std::size_t at = 0;
  for (; at + 3 <= bytes.size(); at += 3) {
    const std::uint32_t group =
        byte_at(bytes, at) << 16 | byte_at(bytes, at + 1) << 8 | byte_at(bytes, at + 2);
    *to++ = alphabet[group >> 18];
    *to++ = alphabet[group >> 12 & 63];
    *to++ = alphabet[group >> 6 & 63];
    *to++ = alphabet[group & 63];
  }
  const std::size_t left = bytes.size() - at;
  if (left == 0) return;
  const std::uint32_t group =
      byte_at(bytes, at) << 16 | (left == 2 ? byte_at(bytes, at + 1) << 8 : 0u);
  *to++ = alphabet[group >> 18];
  *to++ = alphabet[group >> 12 & 63];
  *to++ = left == 2 ? alphabet[group >> 6 & 63] : '=';
  *to++ = '=';
}

Result<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) {
    return fail(
        ErrorCode::invalid_argument,
        "The base64 text is {} characters long, not a multiple of 4: it was cut off, or its "
        "padding is missing.",
        text.size());
  }
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  const std::size_t digits = text.size() - padding;
  std::string bytes;
  bytes.resize(text.size() / 4 * 3 - padding);
  std::size_t to = 0;
  std::uint32_t group = 0;
  for (std::size_t at = 0; at < digits; ++at) {
    const std::uint8_t value = digit_values[static_cast<unsigned char>(text[at])];
    if (value == not_a_digit) {
      return fail(ErrorCode::invalid_argument,
                  "The base64 text holds a character outside its alphabet at offset {}.", at);
    }
    group = group << 6 | value;
    if (at % 4 == 3) {
      bytes[to++] = static_cast<char>(group >> 16 & 0xff);
      bytes[to++] = static_cast<char>(group >> 8 & 0xff);
      bytes[to++] = static_cast<char>(group & 0xff);
      group = 0;
    }
  }
  // The last group has two digits for one byte (4 spare bits) or three for two bytes (2 spare
  // bits).
  if (padding != 0 && (group & (padding == 2 ? 0xfu : 0x3u)) != 0) {
    return fail(
        ErrorCode::invalid_argument,
        "The last group of the base64 text has bits set that its padding leaves out: the text "
        "was altered.");
  }
  if (padding == 2) bytes[to++] = static_cast<char>(group >> 4 & 0xff);
  if (padding == 1) {
    bytes[to++] = static_cast<char>(group >> 10 & 0xff);
    bytes[to++] = static_cast<char>(group >> 2 & 0xff);
  }
  return bytes;
}

}  // namespace sluice
