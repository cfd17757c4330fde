// What this room does with files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/descriptor.h"
#include "base/error.h"

namespace sluice::localcache {

// Opens with O_CLOEXEC and O_NOFOLLOW. A file that is made has exactly `mode`, whatever the umask
// is. Not open: errno says why.
Descriptor open_file(const std::string& path, int flags, unsigned mode = 0600);
// The same for a name in an open folder.
Descriptor open_file_at(int folder, const std::string& name, int flags, unsigned mode = 0600);
// A folder itself: what is done in it by openat, renameat and unlinkat stays in it, whatever takes
// its name meanwhile. `not_found` if there is none; a symbolic link to one, or a file, is refused.
Result<Descriptor> open_folder(const std::string& path);
// The same for a name in an open folder; `path` is for messages.
Result<Descriptor> open_folder_at(int folder, const std::string& name, const std::string& path);

// A file in an open folder that has no name, and so is gone when its writer is, whatever happens to
// that. Not open: the file system cannot do it, or nothing could give it a name later.
Descriptor make_unnamed_file(int folder, unsigned mode);
// Gives it a name in the folder that nothing has. False: errno says why.
bool name_file(int file, int folder, const std::string& name);

// All of it, or an error.
Result<> write_all_at(int file, std::string_view path, std::string_view bytes,
                      std::uint64_t position);
// Fills `buffer` as far as the file goes. Returns how much that was.
Result<std::size_t> read_full(int file, std::string_view path, char* buffer, std::size_t size);

// Whole, for small files. `not_found` if there is none; `too_large` beyond `most` bytes.
Result<std::string> read_file(const std::string& path, std::size_t most);

// 16 hexadecimal digits that nobody has used.
std::string random_name();

// An open-file-description lock on some bytes of a file (F_OFD_SETLK): the kernel drops it when the
// last descriptor of this opening is closed, so when the process dies at the latest.
enum class RangeLock : std::uint8_t { shared, exclusive, none };
// False: somebody else holds one that excludes it. An error, if the file system has no locks, is
// `unsupported`.
Result<bool> try_lock(int file, RangeLock kind, std::int64_t first = 0, std::int64_t length = 0);
// Waits in the kernel, for as long as it takes.
Result<> wait_for_lock(int file, RangeLock kind, std::int64_t first = 0, std::int64_t length = 0);

}  // namespace sluice::localcache
