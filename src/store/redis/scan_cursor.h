// ScanCursor: the position of a listing of a Redis database.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::store::redis {

// SCAN gives about as many keys as it is asked for, often some more. What is too much for a page
// waits in the cursor: the keys themselves, not their number, since the same SCAN asked again may
// give others. `run_id` names the server's start: after the next one its hash function has another
// seed, and the cursor would pass over keys without anybody noticing.
struct ScanCursor {
  std::string run_id;             // empty: the server does not tell
  std::uint64_t scan = 0;         // the cursor of SCAN; 0: it has ended
  std::vector<std::string> keys;  // without the namespace's prefix

  // Empty if the listing is over.
  [[nodiscard]] std::string text() const;
  // Fails with invalid_argument for what `text` has not made, and for keys without `prefix`.
  static Result<ScanCursor> parse(std::string_view text, std::string_view prefix);
};

}  // namespace sluice::store::redis
