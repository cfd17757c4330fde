// The entries of `sluice demo`: what is in them, and how many of them each of its commands
// concerns.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace sluice::cli {

// What the demo searches for, exports and deletes.
inline constexpr std::string_view kDemoSearch = "reykjavik";
inline constexpr std::string_view kDemoPrefix = "user:00";
inline constexpr std::string_view kDemoTag = "stale";

// Counted while the entries were made, so that what the commands report can be held against it.
struct DemoCounts {
  std::uint64_t entries = 0;
  std::uint64_t with_search = 0;
  std::uint64_t with_prefix = 0;
  std::uint64_t with_tag = 0;
};

// Writes `entries` users as NDJSON to `path`, 0600: keys user:0000000 and on, a JSON value, and
// metadata with tags, a status and nested objects. The same each time.
Result<DemoCounts> write_demo_entries(const std::string& path, std::uint64_t entries);

}  // namespace sluice::cli
