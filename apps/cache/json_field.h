// Bytes of any kind as a field of a JSON object.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "localcache/entry.h"
#include "spool.h"

namespace sluice::cache_cli {

// Appends "name":"text", or, for bytes that are not UTF-8, "name":"…" in base64 and behind it
// "base64":true for a value, "NAME_base64":true for anything else.
void append_json_field(std::string& out, std::string_view name, std::string_view bytes);

// Appends "tags":[…].
void append_json_tags(std::string& out, const std::vector<std::string>& tags);

// A moment as JSON has it, without quotes: RFC 3339, in UTC.
std::string time_text(localcache::TimePoint time);

// Gives the field "value" of what is left of `value` to `take`, a piece at a time. Nothing is given
// unless all of the value could be read; a large one waits in a spool of its own.
Result<> write_json_value(localcache::Value& value, std::vector<std::string> spool_folders,
                          const Spool::Take& take);

}  // namespace sluice::cache_cli
