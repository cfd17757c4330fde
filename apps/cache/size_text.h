// How much there is in a namespace, as text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "localcache/entry.h"

namespace sluice::cache_cli {

// {"namespace","entries","bytes","disk_bytes","max_bytes","max_entries"} and a line end; of a dry
// run with "dry_run":true.
std::string size_json(std::string_view name, const localcache::Size& size, bool dry_run = false);
// A line each, for people. Shown by `cache size` and `cache limit`.
std::string size_table(std::string_view name, const localcache::Size& size);

// "1 entry", "2,000 entries".
std::string entries_text(std::uint64_t entries);

}  // namespace sluice::cache_cli
