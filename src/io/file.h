// Small things about file descriptors that block only as long as a disk takes.
#pragma once

#include <string_view>

#include "base/error.h"

namespace sluice::io {

// Writes all of `text`, going on after a signal or a short write. `name` is what the error calls
// the file. A full disk is fatal for the run (see system_error).
Result<> write_all(int descriptor, std::string_view name, std::string_view text);

}  // namespace sluice::io
