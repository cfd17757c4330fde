// The cursors that clients get: opaque, and good for one listing only.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::server::cloudflare {

// The cursor of a listing of `prefix` in the namespace `space` (its id on the wire) that goes on
// from the store's own cursor `position`. Base64url (RFC 4648, section 5, without padding) of a
// version, a checksum of all three and the position; so it is good for as long as the store's
// cursors are, across restarts too. The checksum finds mistakes (another namespace or prefix, a cut
// text); it is no signature: a store checks its cursors itself, and namespaces are guarded by
// tokens.
[[nodiscard]] std::string make_cursor(std::string_view space, std::string_view prefix,
                                      std::string_view position);

// The store's cursor in `cursor`. Anything that make_cursor has not made for the same namespace and
// prefix is an invalid_argument.
Result<std::string> read_cursor(std::string_view cursor, std::string_view space,
                                std::string_view prefix);

}  // namespace sluice::server::cloudflare
