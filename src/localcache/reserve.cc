#include "localcache/reserve.h"

#include <fcntl.h>
#include <unistd.h>

#include "localcache/files.h"

namespace sluice::localcache {

namespace {
// Eight entries that go at once (OpenCache::step) change about forty pages of 8 KiB, with their
// indexes; deleting everything changes one page for each 16 MB.
constexpr off_t kReserve = off_t{1} << 20;
}  // namespace

void keep_reserve(const Location& location) {
  const auto folder = open_folder(location.folder());
  if (!folder) return;
  const Descriptor file = open_file_at(folder->get(), "reserve", O_WRONLY | O_CREAT | O_EXCL,
                                       location.for_group ? 0660 : 0600);
  if (!file) return;
  if (::posix_fallocate(file.get(), 0, kReserve) != 0) ::unlinkat(folder->get(), "reserve", 0);
}

bool release_reserve(const Location& location) {
  const auto folder = open_folder(location.folder());
  return folder && ::unlinkat(folder->get(), "reserve", 0) == 0;
}

}  // namespace sluice::localcache
