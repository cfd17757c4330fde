// The transaction that reads entries of a Redis database.
#pragma once

#include <span>
#include <string_view>

#include "store/block.h"
#include "store/redis/account.h"
#include "store/redis/layout.h"

namespace sluice::store::redis {

struct GetParts {
  bool values = false;
  bool types = false;    // whether a key holds a string; with values, they show it
  bool absolute = true;  // expiry by EXPIRETIME; else by PTTL and TIME, for Redis before 7.0
};

// Adds MULTI … EXEC that reads entries: metadata, expiry, and values if asked for.
void add_get(Commands& commands, const KeySpace& space, std::span<const std::string_view> keys,
             const GetParts& parts);

// Reads the replies to it: entries in the order of `keys`, some with Presence::missing. Without
// values and types, a key that holds something else than a string counts as there.
Result<Block> read_get(Replies& replies, std::span<const std::string_view> keys,
                       const GetParts& parts, std::string_view doing);

}  // namespace sluice::store::redis
