#include "localcache/lock_place.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::localcache {

namespace {

std::string file_name(std::string_view name) {
  constexpr std::size_t kLongest = 150;
  const bool is_plain =
      name.size() <= kLongest && !name.ends_with(".held") && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.' || c == ':' || c == '@';
      });
  if (is_plain) return fmt::format("n-{}", name);
  const XXH128_hash_t hash = XXH3_128bits(name.data(), name.size());
  return fmt::format("h-{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

Descriptor LockPlace::open(int flags) const {
  // A pipe in its place is not waited for.
  Descriptor file = open_file_at(folder.get(), name, flags | O_RDWR | O_NONBLOCK, mode);
  struct stat status{};
  if (file && (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))) {
    file.reset();
    errno = EINVAL;
  }
  return file;
}

Result<std::shared_ptr<const LockPlace>> LockPlace::beside(std::string_view ending) const {
  auto place = std::make_shared<LockPlace>();
  place->folder = Descriptor(::fcntl(folder.get(), F_DUPFD_CLOEXEC, 0));
  if (!place->folder) return std::unexpected(system_error(errno, fmt::format("open {}", path)));
  place->name = fmt::format("{}{}", name, ending);
  place->path = fmt::format("{}{}", path, ending);
  place->mode = mode;
  return place;
}

Result<std::shared_ptr<const LockPlace>> lock_place(const Location& location,
                                                    std::string_view name) {
  const auto folder = open_folder(location.folder());
  if (!folder) return std::unexpected(folder.error());
  auto locks = open_folder_at(folder->get(), "locks", location.locks());
  if (!locks) return std::unexpected(locks.error());
  auto place = std::make_shared<LockPlace>();
  place->folder = std::move(*locks);
  place->name = file_name(name);
  place->path = fmt::format("{}/{}", location.locks(), place->name);
  place->mode = location.for_group ? 0660 : 0600;
  return place;
}

std::string lock_path(const Location& location, std::string_view name) {
  return fmt::format("{}/{}", location.locks(), file_name(name));
}

bool Pause::sleep() {
  using std::chrono::milliseconds;
  ++times_;
  const milliseconds pause =
      wait_ == LockWait::linear
          ? std::min(milliseconds(10) * times_, milliseconds(200))
          : std::min(milliseconds(1) * (1 << std::min(times_ - 1, 10)), milliseconds(1000));
  const auto now = std::chrono::steady_clock::now();
  if (give_up_ && now >= *give_up_) return false;
  std::this_thread::sleep_until(give_up_ ? std::min(now + pause, *give_up_) : now + pause);
  return true;
}

}  // namespace sluice::localcache
