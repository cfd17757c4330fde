// Cloudflare Workers KV as a Backend.
#pragma once

#include <string_view>

#include "base/error.h"
#include "store/registry.h"

namespace sluice::store {

namespace cloudflare {
class Connection;
}

// Opens the key-value store of a Cloudflare account; `account` is its id, or empty for the setting
// CLOUDFLARE_ACCOUNT_ID. Credentials are the setting CLOUDFLARE_API_TOKEN, or CLOUDFLARE_EMAIL with
// CLOUDFLARE_API_KEY; the address is CLOUDFLARE_API_BASE_URL, or Cloudflare's own. Does not touch
// the network.
//
// Fails with `unauthorized` when there are no credentials, and with `invalid_argument` when there
// is no account, or when the address would carry the credentials in the clear (http:// to anything
// but this machine).
//
// The budget that Cloudflare documents holds from the first request when the address is
// Cloudflare's own; elsewhere there is none until a header tells one.
Result<Opened> open_cloudflare(std::string_view account, const Environment& environment);

// The connection of a backend that open_cloudflare has opened, so that what else is asked of
// Cloudflare with the same credentials passes the same gate. None: another kind of backend.
std::shared_ptr<cloudflare::Connection> cloudflare_connection_of(const Backend& backend);

}  // namespace sluice::store
