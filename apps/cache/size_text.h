// The size of a namespace as text: `cache size` and `cache limit` show it.
#pragma once

#include <string>
#include <string_view>

#include "localcache/entry.h"

namespace sluice::cache_cli {

// {"namespace","entries","bytes","disk_bytes","max_bytes","max_entries"} and a line end.
std::string size_json(std::string_view name, const localcache::Size& size);
// A line each, for people.
std::string size_table(std::string_view name, const localcache::Size& size);

}  // namespace sluice::cache_cli
