// What Workers KV allows: keys, values, metadata, expiries. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/cloudflare/envelope.h"

namespace sluice::server::cloudflare {

// https://developers.cloudflare.com/kv/platform/limits/ and the API reference of the bulk calls.
inline constexpr std::size_t kKeyBytes = 512;
inline constexpr std::size_t kValueBytes = std::size_t{25} << 20;
inline constexpr std::size_t kMetadataBytes = 1024;  // serialized
inline constexpr std::size_t kTitleBytes = 512;
inline constexpr std::size_t kBulkPairs = 10'000;
inline constexpr std::size_t kBulkBytes = 100'000'000;
inline constexpr std::size_t kBulkGetKeys = 100;
inline constexpr std::size_t kBulkGetBytes = std::size_t{25} << 20;  // of all values
inline constexpr std::int64_t kLeastTtl = 60;                        // seconds

// Why a request is refused.
struct Refused {
  int status = 400;
  Code code = Code::bad_body;
  std::string message;

  [[nodiscard]] Response response() const { return refuse(status, code, message); }
};
template <class T = void>
using Checked = std::expected<T, Refused>;

Checked<> check_key(std::string_view key);
Checked<> check_value_size(std::size_t bytes);

// The metadata that `json` gives an entry, which is written as it came; `compact` holds it when
// only its white space made it too long. JSON's null is none (an empty view).
Checked<std::string_view> check_metadata(std::string_view json, std::string& compact);
// The same for a text that is known to be JSON.
Checked<std::string_view> check_metadata_size(std::string_view json, std::string& compact);

// The expiry (seconds since 1970, 0: never) from what a client asked for; a ttl goes before a
// moment.
Checked<std::int64_t> check_expiration(std::optional<std::int64_t> moment,
                                       std::optional<std::int64_t> ttl, std::int64_t now);

// `what`: "key/value pairs" or "keys".
Checked<> check_count(std::size_t count, std::size_t most, std::string_view what);

}  // namespace sluice::server::cloudflare
