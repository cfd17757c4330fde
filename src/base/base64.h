// Base64, the standard alphabet with padding (RFC 4648, section 4).
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

// Appends `bytes` to `out` as base64, without line breaks.
void append_base64(std::string& out, std::string_view bytes);

// The bytes that `text` encodes. Strict: a character outside the alphabet (white space included),
// missing padding, and bits that an encoder would have left zero are invalid_argument, since they
// show that the text was cut or altered.
Result<std::string> decode_base64(std::string_view text);

}  // namespace sluice
