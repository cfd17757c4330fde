// What gc, clear, verify and repair share.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "localcache/open_cache.h"

namespace sluice::localcache {

// Deletes the files that no entry names, and temporary ones of dead writers. Returns their number,
// and adds their size to `freed_bytes`.
Result<std::uint64_t> remove_orphans(OpenCache& open, std::uint64_t& freed_bytes);

// Checks everything, see Cache::verify.
Result<Verified> verify_cache(OpenCache& open);

}  // namespace sluice::localcache
