#include "spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "localcache/files.h"

namespace sluice::cache_cli {

namespace {

constexpr std::size_t kInMemory = std::size_t{4} << 20;
constexpr std::size_t kReadPiece = std::size_t{256} << 10;
constexpr std::string_view kName = "a temporary file for the answers";

// A file without a name. Not open: errno says why.
Descriptor nameless_file(const std::string& folder) {
  Descriptor file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file || (errno != EOPNOTSUPP && errno != EISDIR)) return file;
  // A file system without such files: it has a name for a moment.
  std::string path = folder + "/.spool-XXXXXX";
  file = Descriptor(::mkostemp(path.data(), O_CLOEXEC));
  if (file) ::unlink(path.c_str());
  return file;
}

}  // namespace

Result<> Spool::make_file() {
  int reason = ENOENT;
  for (const std::string& folder : folders_) {
    file_ = nameless_file(folder);
    if (file_) return {};
    reason = errno;
  }
  Error error = system_error(reason, fmt::format("make {}", kName));
  error.code = ErrorCode::io;  // "not found" is said of entries
  error.message += ". Name a folder for it by TMPDIR.";
  return std::unexpected(std::move(error));
}

Result<> Spool::append(std::string_view bytes) {
  if (buffer_.size() + bytes.size() <= kInMemory) {
    buffer_ += bytes;
    return {};
  }
  if (!file_) {
    if (auto made = make_file(); !made) return made;
  }
  for (const std::string_view part : {std::string_view(buffer_), bytes}) {
    if (auto written = localcache::write_all_at(file_.get(), kName, part, in_file_); !written) {
      return written;
    }
    in_file_ += part.size();
  }
  buffer_.clear();
  return {};
}

void Spool::truncate(std::uint64_t size) {
  if (size >= in_file_) {
    buffer_.resize(std::min<std::uint64_t>(buffer_.size(), size - in_file_));
    return;
  }
  in_file_ = size;
  buffer_.clear();
}

Result<> Spool::each(const Take& take) const {
  std::string piece;
  for (std::uint64_t at = 0; at < in_file_;) {
    piece.resize(std::min<std::uint64_t>(kReadPiece, in_file_ - at));
    const ssize_t got = ::pread(file_.get(), piece.data(), piece.size(), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      return std::unexpected(system_error(got < 0 ? errno : EIO, fmt::format("read {}", kName)));
    }
    if (auto taken = take(std::string_view(piece).substr(0, static_cast<std::size_t>(got)));
        !taken) {
      return taken;
    }
    at += static_cast<std::uint64_t>(got);
  }
  return buffer_.empty() ? Result<>() : take(buffer_);
}

}  // namespace sluice::cache_cli
