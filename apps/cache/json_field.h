// JSON fields that hold any bytes.
#pragma once

#include <string>
#include <string_view>

namespace sluice::cache_cli {

// Appends `"name":"bytes"`; bytes that are not UTF-8 as base64, with `"name_base64":true` behind
// them (for "value" just `"base64":true`).
void append_json_field(std::string& out, std::string_view name, std::string_view bytes);

}  // namespace sluice::cache_cli
