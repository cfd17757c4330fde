// Bytes as text, and whether a text is JSON. Pure.
#pragma once

#include <string>
#include <string_view>

namespace sluice::server::cloudflare {

// What a decoder to text makes of any bytes: U+FFFD for each maximal part that is not UTF-8 (WHATWG
// Encoding, section 4.1). A byte-order mark stays. `scratch` holds the text when it differs from
// `bytes`; the view is good for as long as both.
[[nodiscard]] std::string_view as_text(std::string_view bytes, std::string& scratch);

// Whether `text` is one valid JSON value and nothing else, nested no deeper than bulk's
// kDeepestJson. Takes up to six times the text's memory while it runs.
[[nodiscard]] bool is_json(std::string_view text);

// `json`, which is valid, without the white space between its tokens.
[[nodiscard]] std::string without_space(std::string_view json);

}  // namespace sluice::server::cloudflare
