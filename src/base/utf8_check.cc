// is_utf8, apart from the rest of base/utf8.h: it alone needs simdjson, which the front does
// without.
#include <simdjson.h>

#include "base/utf8.h"

namespace sluice {

bool is_utf8(std::string_view bytes) {
  // Most keys are short and ASCII: for them the look-up of simdjson's best implementation costs
  // more than the work.
  constexpr std::size_t kShort = 64;
  if (bytes.size() <= kShort) {
    unsigned char high = 0;
    for (const char byte : bytes) high |= static_cast<unsigned char>(byte);
    if (high < 0x80) return true;
  }
  return simdjson::validate_utf8(bytes.data(), bytes.size());
}

}  // namespace sluice
