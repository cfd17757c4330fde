// Resolving names without blocking the loop, which libpq would do.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "io/stop.h"
#include "io/task.h"

namespace sluice::postgres {

// The addresses of `name`, as text, in the resolver's order, each once. Gives up at `until`, or
// when a stop is requested.
io::Task<Result<std::vector<std::string>>> resolve(std::string name, io::Stop& stop,
                                                   io::Clock::time_point until);

}  // namespace sluice::postgres
