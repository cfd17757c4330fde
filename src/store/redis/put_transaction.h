// The transaction that puts entries into a Redis database.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "store/block.h"
#include "store/redis/account.h"
#include "store/redis/layout.h"

namespace sluice::store::redis {

// MULTI … EXEC that puts `entries[order…]`, all different. `queued` counts what stands between
// them. The entries must stay until the round trip is over.
Commands put_commands(const KeySpace& space, std::span<const EntryView> entries,
                      std::span<const std::uint32_t> order, std::size_t& queued);

// Reads the replies to it. False: somebody else changed what was watched, and nothing has been
// written.
Result<bool> read_put(Replies& replies, std::size_t queued, std::string_view doing);

}  // namespace sluice::store::redis
