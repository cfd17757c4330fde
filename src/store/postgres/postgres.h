// The store in a PostgreSQL database: a table for each namespace.
#pragma once

#include "base/error.h"
#include "base/uri.h"
#include "store/registry.h"

namespace sluice::store {

// Opens the store that a postgres:// URL names; see docs/stores.md for its parameters. Does not
// touch the network, and makes no table before something is written.
//
// The stores list in key order with values (lists_values, seekable) and take any bytes as keys. All
// entries of one put appear together.
Result<Opened> open_postgres(const StoreUrl& url, const Environment& environment);

}  // namespace sluice::store
