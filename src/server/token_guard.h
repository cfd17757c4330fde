// The guard of routes that are not an API's own: /metrics.
#pragma once

#include <memory>

#include "server/router.h"
#include "server/tokens.h"

namespace sluice::server {

// Lets pass whoever has any of the tokens, to read; others get 401 with the scheme that is asked
// for. Without tokens (null) there is no guard.
[[nodiscard]] Guard token_guard(std::shared_ptr<const Tokens> tokens);

}  // namespace sluice::server
