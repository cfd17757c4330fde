// look_up: one entry, as `get` gives it.
#pragma once

#include <optional>
#include <string_view>

#include "localcache/open_cache.h"

namespace sluice::localcache {

// The entry of `key`, checked; nothing if there is none that `options` want. Counts the hit or the
// miss, unless `options` say otherwise. Also within a transaction, of which it sees what was done.
Result<std::optional<Entry>> look_up(OpenCache& open, std::string_view key,
                                     const GetOptions& options);

}  // namespace sluice::localcache
