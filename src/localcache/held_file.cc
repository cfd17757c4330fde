#include "localcache/held_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <string>

namespace sluice::localcache {

Result<std::optional<HeldFile>> HeldFile::make(std::shared_ptr<const LockPlace> place,
                                               std::string_view command) {
  // The record is complete when the file appears: it is written beside, and linked.
  const int folder = place->folder.get();
  const HolderRecord self = this_holder(command);
  const std::string temporary = place->name + ".new-" + random_name();
  {
    const Descriptor file =
        open_file_at(folder, temporary, O_WRONLY | O_CREAT | O_EXCL, place->mode);
    if (!file) return std::unexpected(system_error(errno, fmt::format("make {}", place->path)));
    if (auto written =
            write_all(file.get(), place->path, format_holder(self.holder, self.process_start));
        !written) {
      ::unlinkat(folder, temporary.c_str(), 0);
      return std::unexpected(written.error());
    }
  }
  const auto link = [&](const std::string& name) {
    return ::linkat(folder, temporary.c_str(), folder, name.c_str(), 0);
  };
  int linked = link(place->name);
  int reason = errno;
  if (linked != 0 && reason == EEXIST) {
    // One at a time judges whether the holder is dead, so that nobody removes the lock of whoever
    // took it over. Someone who died while judging is waited for no longer than this.
    constexpr std::time_t kLongestJudging = 10;
    const std::string judging = place->name + ".judging";
    struct stat status{};
    if (::fstatat(folder, judging.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        std::time(nullptr) - status.st_mtime > kLongestJudging) {
      ::unlinkat(folder, judging.c_str(), 0);
    }
    if (link(judging) == 0) {
      if (const auto record = holder(*place); record && is_dead(*record)) {
        ::unlinkat(folder, place->name.c_str(), 0);
        linked = link(place->name);
        reason = errno;
      }
      ::unlinkat(folder, judging.c_str(), 0);
    }
  }
  ::unlinkat(folder, temporary.c_str(), 0);
  if (linked == 0) return HeldFile(std::move(place));
  if (reason == EEXIST) return std::nullopt;
  return std::unexpected(system_error(reason, fmt::format("make {}", place->path)));
}

HeldFile::~HeldFile() {
  if (place_ != nullptr) ::unlinkat(place_->folder.get(), place_->name.c_str(), 0);
}

std::optional<HolderRecord> HeldFile::holder(const LockPlace& place) {
  const Descriptor file = place.open(0);
  if (!file) return std::nullopt;
  std::string bytes(2 * kHolderBytes, '\0');
  const auto got = read_full(file.get(), place.path, bytes.data(), bytes.size());
  if (!got) return std::nullopt;
  return parse_holder(std::string_view(bytes).substr(0, *got));
}

}  // namespace sluice::localcache
