// Appending strings to JSON text.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Appends `utf8` to `out` as a JSON string (RFC 8259), quotes included. Escapes only what the RFC
// demands: the quote, the backslash and the control characters below U+0020; everything else is
// copied byte for byte. `utf8` must be valid UTF-8 (see base/utf8.h) for the text to be valid JSON.
// Runs that need no escape are copied in one piece, so that a listing of millions of keys costs
// little more than a memcpy.
void append_json_string(std::string& out, std::string_view utf8);

}  // namespace sluice
