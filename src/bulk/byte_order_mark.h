// The byte-order mark that programs on Windows put before UTF-8 text. It is no part of the text.
#pragma once

#include <string_view>

namespace sluice::bulk {

inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace sluice::bulk
