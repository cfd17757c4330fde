// The boot's id: what tells the times of one start of the machine from those of another.
#pragma once

#include <string>

namespace sluice::io {

// As the kernel gives it, 36 characters; empty if it cannot be read.
[[nodiscard]] std::string boot_id();

}  // namespace sluice::io
