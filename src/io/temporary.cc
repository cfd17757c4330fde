#include "io/temporary.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

namespace sluice::io {

Result<TemporaryFolder> TemporaryFolder::create(std::string_view what, const std::string& parent) {
  std::string folder = parent;
  if (folder.empty()) {
    const char* given = ::secure_getenv("TMPDIR");
    folder = given != nullptr && *given != '\0' ? given : "/tmp";
  }
  std::string path = fmt::format("{}/sluice-{}-XXXXXX", folder, what);
  if (::mkdtemp(path.data()) == nullptr) {
    return std::unexpected(system_error(errno, fmt::format("create a folder in {}", folder)));
  }
  return TemporaryFolder(std::move(path));
}

TemporaryFolder::TemporaryFolder(TemporaryFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

TemporaryFolder& TemporaryFolder::operator=(TemporaryFolder&& other) noexcept {
  if (this == &other) return *this;
  remove();
  path_ = std::exchange(other.path_, {});
  return *this;
}

TemporaryFolder::~TemporaryFolder() {
  remove();
}

void TemporaryFolder::remove() const {
  if (path_.empty()) return;
  // A file that cannot be removed stays; there is nobody to tell.
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace sluice::io
