// The embedded store: namespaces in one SQLite file.
#pragma once

#include <string_view>

#include "base/error.h"
#include "store/registry.h"

namespace sluice::store {

// Opens the store in the file `path`; empty: `store.db` in the environment's data folder. The file
// is created when there is none, readable by its owner only, and so is the data folder (no other
// one). Several processes may use one file: a writer waits up to ten seconds for another one,
// readers wait for nobody. Fails when the file is not a Sluice store, or of a newer version; and,
// if the environment does not let it make a file, when it could not make the one that is missing.
//
// The stores list in key order with values (lists_values, seekable) and take any bytes as keys.
Result<Opened> open_sqlite(std::string_view path, const Environment& environment);

}  // namespace sluice::store
