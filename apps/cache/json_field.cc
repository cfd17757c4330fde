#include "json_field.h"

#include <fmt/format.h>

#include "base/base64.h"
#include "base/json_text.h"
#include "base/utf8.h"

namespace sluice::cache_cli {

void append_json_field(std::string& out, std::string_view name, std::string_view bytes) {
  append_json_string(out, name);
  out += ':';
  if (is_utf8(bytes)) {
    append_json_string(out, bytes);
    return;
  }
  out += '"';
  append_base64(out, bytes);
  out += name == "value" ? std::string(R"(","base64":true)")
                         : fmt::format(R"(","{}_base64":true)", name);
}

}  // namespace sluice::cache_cli
