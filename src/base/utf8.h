// UTF-8: is it, how wide is it on a terminal, and can it be shown there.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

// Whether `bytes` is well-formed UTF-8 (no surrogates, no overlong forms).
[[nodiscard]] bool is_utf8(std::string_view bytes);

// The columns that `text` takes on a terminal: 2 for wide East Asian characters and emoji, 0 for
// combining marks and control characters, 1 for each byte that is not part of well-formed UTF-8.
[[nodiscard]] std::size_t display_width(std::string_view text);

// `text` made safe to print: control characters (also those of the C1 range, and the marks that
// turn the direction of writing) are written as escapes, \n \t \x1b \u{202e}, and bytes that are
// not UTF-8 as \xff. Keys come from other people: without this, listing them could move the cursor
// or hide what a prompt says.
[[nodiscard]] std::string printable(std::string_view text);

// The longest beginning of `text` that takes at most `columns`, never cutting a character in two;
// what is left out is marked by a final "…", which counts.
[[nodiscard]] std::string truncated_to_width(std::string_view text, std::size_t columns);

}  // namespace sluice
