// The parts of a multipart/form-data body (RFC 7578). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::server::cloudflare {

// A field of a form. `content` points into the body.
struct FormPart {
  std::string name;
  std::string_view content;
};

// Whether a Content-Type is multipart/form-data, whatever its parameters.
[[nodiscard]] bool is_form(std::string_view content_type);

// The parts of `body`, in their order. Strict, since what two readers could understand differently
// must not be stored: a boundary of 1 to 70 of the characters of RFC 2046, the first delimiter at
// the very beginning, CRLF behind every line, a Content-Disposition of form-data with a name for
// each part, no multipart within it, no transfer encoding but the plain ones, at most 16 parts with
// heads of 4 KiB, nothing but line breaks behind the end. Anything else is an invalid_argument.
Result<std::vector<FormPart>> parse_form(std::string_view content_type, std::string_view body);

}  // namespace sluice::server::cloudflare
