// Percent-encoding (RFC 3986, section 2.1).
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

// Appends `bytes` to `out` with everything but the unreserved characters (letters, digits, - . _ ~)
// percent-encoded: safe as one segment of a path ("/" becomes %2F) and as a query value.
void append_percent_encoded(std::string& out, std::string_view bytes);

// The bytes that `text` encodes. A "+" stays a "+". A "%" without two hexadecimal digits after it
// is an invalid_argument.
Result<std::string> percent_decode(std::string_view text);

}  // namespace sluice
