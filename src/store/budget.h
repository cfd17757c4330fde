// The budget of a service as a store spends it.
#pragma once

#include <memory>
#include <string_view>

#include "flow/budget.h"
#include "store/registry.h"

namespace sluice::store {

// The budget that all processes of this user share which send to `address` (host and port, in one
// form: "api.cloudflare.com") with these credentials; for Gate::Options::budget. None, which means
// one of the gate's own, if Environment::budget_folder is empty, or if it cannot be shared, which
// the log tells at info.
//
// `credentials` is whatever the service tells its users apart by, in any fixed form. It is kept
// nowhere: only a hash of its SHA-256 gets into the name of a file that is the user's own.
[[nodiscard]] std::shared_ptr<flow::Budget> shared_budget(const Environment& environment,
                                                          std::string_view address,
                                                          std::string_view credentials);

}  // namespace sluice::store
