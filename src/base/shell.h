// Words as a shell reads them.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// `word` as a POSIX shell reads it back: unchanged if it is plain, else in single quotes.
[[nodiscard]] std::string shell_quoted(std::string_view word);

}  // namespace sluice
