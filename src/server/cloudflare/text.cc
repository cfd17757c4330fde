#include "server/cloudflare/text.h"

#include "base/utf8.h"
#include "bulk/json_walk.h"

namespace sluice::server::cloudflare {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// How many bytes the character that `text` (not empty) begins with has, or how many bytes make up
// what stands for one replacement character: then `good` is false.
struct Piece {
  std::size_t bytes;
  bool good;
};

// The table of the Encoding standard's UTF-8 decoder (also Unicode, table 3-7).
Piece first_piece(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {1, true};
  std::size_t needed = 0;
  if (first >= 0xC2 && first <= 0xDF) needed = 1;
  if (first >= 0xE0 && first <= 0xEF) needed = 2;
  if (first >= 0xF0 && first <= 0xF4) needed = 3;
  if (needed == 0) return {1, false};
  // The second byte's range keeps out overlong forms, surrogates and what is beyond U+10FFFF.
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  for (std::size_t at = 1; at <= needed; ++at) {
    if (at >= text.size() || byte(at) < low || byte(at) > high) return {at, false};
    low = 0x80;
    high = 0xBF;
  }
  return {needed + 1, true};
}

}  // namespace

std::string_view as_text(std::string_view bytes, std::string& scratch) {
  if (is_utf8(bytes)) return bytes;
  scratch.clear();
  scratch.reserve(bytes.size() + bytes.size() / 2);
  std::size_t kept = 0;  // bytes before are in the scratch already
  for (std::size_t at = 0; at < bytes.size();) {
    const Piece piece = first_piece(bytes.substr(at));
    if (!piece.good) {
      scratch.append(bytes, kept, at - kept);
      scratch += kReplacement;
      kept = at + piece.bytes;
    }
    at += piece.bytes;
  }
  scratch.append(bytes, kept, std::string_view::npos);
  return scratch;
}

bool is_json(std::string_view text) {
  bulk::PaddedText scratch;
  simdjson::ondemand::parser parser;
  return bulk::is_json(text, parser, scratch);
}

std::string without_space(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  bool in_string = false;
  for (std::size_t at = 0; at < json.size(); ++at) {
    const char c = json[at];
    if (!in_string && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) continue;
    out += c;
    if (c == '"') in_string = !in_string;
    if (c == '\\' && at + 1 < json.size()) out += json[++at];
  }
  return out;
}

}  // namespace sluice::server::cloudflare
