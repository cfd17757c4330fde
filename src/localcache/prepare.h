// prepare: what happens to a value before the transaction that stores it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "localcache/new_value_file.h"
#include "localcache/open_cache.h"

namespace sluice::localcache {

// A value that is ready to be stored.
struct PreparedValue {
  std::uint32_t form = 0;
  std::uint64_t value_bytes = 0;
  std::uint64_t stored_hash = 0;
  std::string_view stored;           // unless it is in a file
  std::optional<NewValueFile> file;  // published when the change is committed
};

// What it takes to be ready: small values are compressed into the codec's buffer, which the next
// value overwrites; large ones are written to a file. `too_large` for what cannot be stored under
// `limits`.
Result<PreparedValue> prepare(OpenCache& open, std::string_view key, std::string_view value,
                              const Limits& limits);
// The same for a value that comes in pieces. `buffer` keeps a small one.
Result<PreparedValue> prepare(OpenCache& open, std::string_view key, const Cache::Pieces& next,
                              const Limits& limits, std::string& buffer);
Result<> check_options(const SetOptions& options);

// Whether an entry may be stored under `limits` at all; and the error if it may not.
[[nodiscard]] bool fits(std::string_view key, std::uint64_t value_bytes, const Limits& limits);
[[nodiscard]] Error no_room(std::string_view key, const Limits& limits);

}  // namespace sluice::localcache
