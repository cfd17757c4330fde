#include "io/file.h"

#include <unistd.h>

#include <cerrno>

namespace sluice::io {

Result<> write_all(int descriptor, std::string_view name, std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(descriptor, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return std::unexpected(system_error(errno, fmt::format("write {}", name)));
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

}  // namespace sluice::io
