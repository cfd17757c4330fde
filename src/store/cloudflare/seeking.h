// What our own server says beyond Cloudflare's API, and our own client looks for.
#pragma once

#include <string_view>

namespace sluice::store::cloudflare {

// Among the headers of an answer that lists or creates namespaces: listings of this service's keys
// can begin after any key and end at any key (`after`, `until`), and be cut into pieces of about
// the same size (`GET …/keys/split?parts=N`).
inline constexpr std::string_view seek_header = "Sluice-Listing";
inline constexpr std::string_view seek_value = "seek";

}  // namespace sluice::store::cloudflare
