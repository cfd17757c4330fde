#include "flow/journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptor.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::flow {

namespace {

constexpr std::string_view kMagic = "sluice-journal 2 ";
constexpr std::string_view kAnyMagic = "sluice-journal ";
constexpr std::size_t kHashDigits = 16;
// Longer than any record that Sluice writes: a position of many pieces, each with several keys of
// some kilobytes, takes a few megabytes.
constexpr std::size_t kLongestRecord = std::size_t{64} << 20;

// Owns a descriptor until it is released.
struct File {
  int descriptor = -1;
  ~File() {
    if (descriptor >= 0) ::close(descriptor);
  }
};

std::string frame(std::string_view text) {
  return fmt::format("{:016x} {}\n", XXH3_64bits(text.data(), text.size()), text);
}

// The text of one framed line, or nothing if it is torn or damaged.
std::optional<std::string_view> unframe(std::string_view line) {
  if (line.size() < kHashDigits + 1 || line[kHashDigits] != ' ') return std::nullopt;
  const std::string_view text = line.substr(kHashDigits + 1);
  if (fmt::format("{:016x}", XXH3_64bits(text.data(), text.size())) !=
      line.substr(0, kHashDigits)) {
    return std::nullopt;
  }
  return text;
}

// Reads all intact records. Returns how many bytes they take: the rest of the file is torn.
Result<std::uint64_t> read_records(int file, const std::string& path,
                                   const std::function<void(std::string_view)>& read) {
  std::string buffer;
  std::uint64_t good = 0;
  bool first = true;
  for (;;) {
    const std::size_t old = buffer.size();
    buffer.resize(old + 65536);
    const ssize_t got = ::pread(file, buffer.data() + old, 65536, static_cast<off_t>(good + old));
    if (got < 0) return std::unexpected(system_error(errno, fmt::format("read {}", path)));
    buffer.resize(old + static_cast<std::size_t>(got));
    std::size_t from = 0;
    for (std::size_t look_from = old;;) {  // what was there before has no newline
      const std::size_t end = buffer.find('\n', look_from);
      if (end == std::string::npos) break;
      const auto text = unframe(std::string_view(buffer).substr(from, end - from));
      if (!text && first) return fail(ErrorCode::corrupt, "{} is not a journal of Sluice", path);
      if (!text) return good + from;
      if (first) {
        if (!text->starts_with(kMagic)) {
          if (text->starts_with(kAnyMagic)) {
            return fail(ErrorCode::unsupported,
                        "{} was written by another version of Sluice: resume it with that one, or "
                        "remove the job",
                        path);
          }
          return fail(ErrorCode::corrupt, "{} is not a journal of Sluice", path);
        }
        first = false;
        read(text->substr(kMagic.size()));
      } else {
        read(*text);
      }
      from = look_from = end + 1;
    }
    buffer.erase(0, from);
    good += from;
    if (got == 0 || buffer.size() > kLongestRecord) break;
  }
  if (first) return fail(ErrorCode::corrupt, "{} is not a journal of Sluice", path);
  return good;
}

struct flock whole_file() {
  struct flock region{};
  region.l_type = F_WRLCK;
  region.l_whence = SEEK_SET;
  return region;
}

// An open-file-description lock: it can be asked about without being taken, which flock cannot.
Result<> lock(int file, const std::string& path) {
  struct flock region = whole_file();
  if (::fcntl(file, F_OFD_SETLK, &region) == 0) return {};
  if (errno == EAGAIN || errno == EACCES) {
    return fail(ErrorCode::conflict, "the job of {} is running in another process", path);
  }
  return std::unexpected(system_error(errno, fmt::format("lock {}", path)));
}

}  // namespace

Journal::Journal(Journal&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

Journal::~Journal() {
  if (file_ >= 0) ::close(file_);
}

Result<Journal> Journal::create(const std::string& path, std::string_view header) {
  File file{::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600)};
  if (file.descriptor < 0 && errno == EEXIST) {
    return fail(ErrorCode::conflict, "create {}: it exists already", path);
  }
  if (file.descriptor < 0)
    return std::unexpected(system_error(errno, fmt::format("create {}", path)));
  if (auto locked = lock(file.descriptor, path); !locked) return std::unexpected(locked.error());
  // Another process may have taken it for one that was left behind (remove_unbegun), if this one
  // was held up before it had the lock.
  struct stat status{};
  if (::fstat(file.descriptor, &status) != 0 || status.st_nlink == 0) {
    return fail(ErrorCode::conflict, "create {}: it was removed meanwhile", path);
  }
  Journal journal(path, std::exchange(file.descriptor, -1));
  if (auto wrote = write_all(journal.file_, path, frame(fmt::format("{}{}", kMagic, header)));
      !wrote) {
    return std::unexpected(wrote.error());
  }
  if (auto synced = journal.sync(); !synced) return std::unexpected(synced.error());
  return journal;
}

Result<Journal> Journal::open(const std::string& path,
                              const std::function<void(std::string_view)>& read) {
  File file{::open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC)};
  if (file.descriptor < 0)
    return std::unexpected(system_error(errno, fmt::format("open {}", path)));
  if (auto locked = lock(file.descriptor, path); !locked) return std::unexpected(locked.error());
  const auto good = read_records(file.descriptor, path, read);
  if (!good) return std::unexpected(good.error());
  if (::ftruncate(file.descriptor, static_cast<off_t>(*good)) != 0) {
    return std::unexpected(system_error(errno, fmt::format("cut the torn end of {}", path)));
  }
  return Journal(path, std::exchange(file.descriptor, -1));
}

Result<Journal::Peek> Journal::peek(const std::string& path,
                                    const std::function<void(std::string_view)>& read) {
  const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.descriptor < 0)
    return std::unexpected(system_error(errno, fmt::format("open {}", path)));
  Peek peek;
  struct flock wanted = whole_file();
  peek.in_use = ::fcntl(file.descriptor, F_OFD_GETLK, &wanted) == 0 && wanted.l_type != F_UNLCK;
  if (const auto good = read_records(file.descriptor, path, read); !good) {
    return std::unexpected(good.error());
  }
  return peek;
}

bool Journal::remove_unbegun(const std::string& path, std::int64_t before) {
  const File file{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
  struct stat status{};
  if (file.descriptor < 0 || !lock(file.descriptor, path) ||
      ::fstat(file.descriptor, &status) != 0) {
    return false;
  }
  if (!S_ISREG(status.st_mode) || status.st_mtime >= before ||
      status.st_size > static_cast<off_t>(kLongestRecord)) {
    return false;
  }
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  const ssize_t got = ::pread(file.descriptor, text.data(), text.size(), 0);
  // A whole line is a header, be it damaged: that is not removed without being asked.
  if (got != status.st_size || text.find('\n') != std::string::npos) return false;
  return ::unlink(path.c_str()) == 0;
}

Result<> Journal::append(std::string_view record) {
  return write_all(file_, path_, frame(record));
}

Result<> Journal::sync() {
  if (::fdatasync(file_) != 0)
    return std::unexpected(system_error(errno, fmt::format("sync {}", path_)));
  return {};
}

}  // namespace sluice::flow
