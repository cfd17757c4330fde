// Looking up a host's name without blocking the loop.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "io/stop.h"
#include "io/task.h"

namespace sluice::io {

// The addresses of `name`, as text, in the resolver's order, each once. Gives up at `until`
// (timeout, again) and when a stop is requested (its reason). A name that does not exist is fatal
// for a run; a resolver that could not answer may be asked again (both network). The system's
// resolver cannot be called off: a look-up that was given up may go on in a thread of the loop.
Task<Result<std::vector<std::string>>> resolve(std::string name, Stop& stop,
                                               Clock::time_point until);

}  // namespace sluice::io
