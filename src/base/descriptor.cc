#include "base/descriptor.h"

#include <cerrno>

namespace sluice {

Result<> write_all(int descriptor, std::string_view name, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(descriptor, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return std::unexpected(system_error(errno, fmt::format("write {}", name)));
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

}  // namespace sluice
