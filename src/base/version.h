// The version of this build.
#pragma once

#include <string_view>

namespace sluice {

// As in semver.org: "0.1.0". Set by CMake's project().
[[nodiscard]] std::string_view version();

}  // namespace sluice
