// Whose cache it is: the name of the namespace.
#pragma once

#include <string>

#include "base/error.h"
#include "base/invocation.h"

namespace sluice::cache_cli {

// The first of these that is set: --ns, SLUICE_NS, FLOWFORGE_DEVELOPER, git's user.email in the
// current folder, "default". With `for_group`: --ns, SLUICE_NS, "shared", since those who share a
// folder are different people. An error if it cannot be the name of a folder.
Result<std::string> cache_namespace(const Invocation& invocation, const Getenv& environment,
                                    bool for_group);

}  // namespace sluice::cache_cli
