// A Redis database as a Backend.
#pragma once

#include "base/error.h"
#include "base/uri.h"
#include "store/registry.h"

namespace sluice::store {

// Opens the database that `url` names: redis://[USER[:PASSWORD]@]HOST[:PORT][/NUMBER], or rediss://
// for TLS. Without a password there, the setting REDISCLI_AUTH is it, as for redis-cli; the setting
// SSL_CERT_FILE names the authorities to trust instead of the system's. Does not touch the network.
// Fails with invalid_argument for an address that is none.
Result<Opened> open_redis(const StoreUrl& url, const Environment& environment);

}  // namespace sluice::store
