#include "localcache/files.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace sluice::localcache {

Descriptor open_file(const std::string& path, int flags, unsigned mode) {
  return open_file_at(AT_FDCWD, path, flags, mode);
}

Descriptor open_file_at(int folder, const std::string& name, int flags, unsigned mode) {
  Descriptor file(::openat(folder, name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!file || (flags & O_CREAT) == 0) return file;
  struct stat status{};
  // One that somebody else has made may keep its mode.
  if (::fstat(file.get(), &status) == 0 && status.st_uid == ::geteuid() &&
      (status.st_mode & 07777) != mode) {
    ::fchmod(file.get(), mode);
  }
  return file;
}

Result<Descriptor> open_folder(const std::string& path) {
  return open_folder_at(AT_FDCWD, path, path);
}

Result<Descriptor> open_folder_at(int folder, const std::string& name, const std::string& path) {
  Descriptor opened = open_file_at(folder, name, O_RDONLY | O_DIRECTORY);
  if (opened) return opened;
  if (errno == ENOENT) return fail(ErrorCode::not_found, "there is no folder {}.", path);
  if (errno == ENOTDIR || errno == ELOOP) {
    return fail(ErrorCode::io,
                "{} is not a folder, but a symbolic link or a file: the cache does not use it. "
                "Remove it, or name another namespace.",
                path);
  }
  return std::unexpected(system_error(errno, fmt::format("open {}", path)));
}

Descriptor make_unnamed_file(int folder, unsigned mode) {
  Descriptor file(::openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode));
  if (!file) return file;
  // Without /proc there is no way to a name (open(2), O_TMPFILE).
  if (::access(fmt::format("/proc/self/fd/{}", file.get()).c_str(), F_OK) != 0 ||
      ::fchmod(file.get(), mode) != 0) {
    file.reset();
  }
  return file;
}

bool name_file(int file, int folder, const std::string& name) {
  return ::linkat(AT_FDCWD, fmt::format("/proc/self/fd/{}", file).c_str(), folder, name.c_str(),
                  AT_SYMLINK_FOLLOW) == 0;
}

Result<> write_all_at(int file, std::string_view path, std::string_view bytes,
                      std::uint64_t position) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return std::unexpected(system_error(errno, fmt::format("write {}", path)));
    bytes.remove_prefix(static_cast<std::size_t>(written));
    position += static_cast<std::uint64_t>(written);
  }
  return {};
}

Result<std::size_t> read_full(int file, std::string_view path, char* buffer, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(file, buffer + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(system_error(errno, fmt::format("read {}", path)));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

Result<std::string> read_file(const std::string& path, std::size_t most) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    if (errno == ENOENT) return fail(ErrorCode::not_found, "there is no file {}.", path);
    return std::unexpected(system_error(errno, fmt::format("open {}", path)));
  }
  std::string text(most + 1, '\0');
  const auto got = read_full(file.get(), path, text.data(), text.size());
  if (!got) return std::unexpected(got.error());
  if (*got > most) return fail(ErrorCode::too_large, "{} is larger than {} bytes.", path, most);
  text.resize(*got);
  return text;
}

std::string random_name() {
  std::array<unsigned char, 8> bytes{};
  std::size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = ::getrandom(bytes.data() + have, bytes.size() - have, 0);
    if (got > 0) have += static_cast<std::size_t>(got);
  }
  constexpr std::string_view digits = "0123456789abcdef";
  std::string name;
  for (const unsigned char byte : bytes) {
    name += digits[byte >> 4];
    name += digits[byte & 15];
  }
  return name;
}

namespace {

struct flock describe(RangeLock kind, std::int64_t first, std::int64_t length) {
  struct flock lock{};
  lock.l_type = kind == RangeLock::shared      ? F_RDLCK
                : kind == RangeLock::exclusive ? F_WRLCK
                                               : F_UNLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = first;
  lock.l_len = length;
  return lock;
}

std::unexpected<Error> lock_error(int reason) {
  if (reason == ENOLCK || reason == EINVAL || reason == EOPNOTSUPP || reason == ENOSYS) {
    return fail(ErrorCode::unsupported, "the file system has no locks ({}).",
                strerrordesc_np(reason));
  }
  return std::unexpected(system_error(reason, "lock a file"));
}

}  // namespace

Result<bool> try_lock(int file, RangeLock kind, std::int64_t first, std::int64_t length) {
  struct flock lock = describe(kind, first, length);
  while (::fcntl(file, F_OFD_SETLK, &lock) != 0) {
    if (errno == EAGAIN || errno == EACCES) return false;
    if (errno != EINTR) return lock_error(errno);
  }
  return true;
}

Result<> wait_for_lock(int file, RangeLock kind, std::int64_t first, std::int64_t length) {
  struct flock lock = describe(kind, first, length);
  while (::fcntl(file, F_OFD_SETLKW, &lock) != 0) {
    if (errno != EINTR) return lock_error(errno);
  }
  return {};
}

}  // namespace sluice::localcache
