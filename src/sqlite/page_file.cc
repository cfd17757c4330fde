#include "sqlite/page_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

namespace sluice::sqlite {

namespace {

constexpr std::uint64_t kMostPages = 0xffff'fffe;  // fileformat2, 1.3
constexpr std::size_t kLogHeader = 32;
constexpr std::size_t kFrameHeader = 24;

// Reads `size` bytes at `at`, or as many as there are.
Result<> read_at(int file, std::uint64_t at, std::size_t size, std::string& bytes) {
  bytes.resize(size);
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got =
        ::pread(file, bytes.data() + done, size - done, static_cast<off_t>(at + done));
    if (got < 0 && errno == EINTR) continue;
    // A sector that the disk cannot read is a damaged page like any other.
    if (got < 0 && errno != EIO) {
      return std::unexpected(system_error(errno, "read a database"));
    }
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return {};
}

std::uint64_t size_of(int file) {
  struct stat status{};
  return ::fstat(file, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

// The running checksum of a log (fileformat2, 4.2), over numbers of four bytes.
struct LogChecksum {
  bool big = false;
  std::uint32_t first = 0;
  std::uint32_t second = 0;

  void add(std::string_view bytes) {
    for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      first += number(bytes, at) + second;
      second += number(bytes, at + 4) + first;
    }
  }
  [[nodiscard]] std::uint32_t number(std::string_view bytes, std::size_t at) const {
    const auto value = static_cast<std::uint32_t>(big_endian(bytes, at, 4));
    return big ? value : __builtin_bswap32(value);
  }
  [[nodiscard]] bool is(std::string_view bytes, std::size_t at) const {
    return big_endian(bytes, at, 4) == first && big_endian(bytes, at + 4, 4) == second;
  }
};

}  // namespace

std::uint64_t big_endian(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < size; ++i) {
    number = number << 8 | static_cast<unsigned char>(bytes[at + i]);
  }
  return number;
}

Result<PageFile> PageFile::open(const std::string& path, std::size_t page_size) {
  PageFile made;
  made.file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (made.file_ < 0) {
    if (errno == ENOENT) return fail(ErrorCode::not_found, "there is no file {}.", path);
    return std::unexpected(system_error(errno, fmt::format("open {}", path)));
  }
  made.page_size_ = page_size;
  made.count_ = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(size_of(made.file_) / page_size, kMostPages));
  if (auto read = made.read_log(path + "-wal"); !read) return std::unexpected(read.error());
  return made;
}

PageFile::PageFile(PageFile&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      log_(std::exchange(other.log_, -1)),
      page_size_(other.page_size_),
      count_(other.count_),
      in_log_(std::move(other.in_log_)) {}

PageFile::~PageFile() {
  if (file_ >= 0) ::close(file_);
  if (log_ >= 0) ::close(log_);
}

Result<> PageFile::read_log(const std::string& path) {
  log_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (log_ < 0) {
    if (errno == ENOENT || errno == ELOOP) return {};
    return std::unexpected(system_error(errno, fmt::format("open {}", path)));
  }
  std::string header;
  if (auto read = read_at(log_, 0, kLogHeader, header); !read) return read;
  if (header.size() < kLogHeader) return {};
  const std::uint64_t magic = big_endian(header, 0, 4);
  if ((magic & ~std::uint64_t{1}) != 0x377f0682 || big_endian(header, 8, 4) != page_size_) {
    return {};
  }
  LogChecksum sum{.big = (magic & 1) != 0};
  sum.add(std::string_view(header).substr(0, 24));
  if (!sum.is(header, 24)) return {};

  // What was not committed never happened.
  std::unordered_map<std::uint32_t, std::uint64_t> pending;
  std::uint64_t written = count_;
  std::string frame;
  const std::size_t frame_size = kFrameHeader + page_size_;
  for (std::uint64_t at = kLogHeader;; at += frame_size) {
    if (auto read = read_at(log_, at, frame_size, frame); !read) return read;
    if (frame.size() < frame_size || frame.compare(8, 8, header, 16, 8) != 0) return {};
    sum.add(std::string_view(frame).substr(0, 8));
    sum.add(std::string_view(frame).substr(kFrameHeader));
    if (!sum.is(frame, 16)) return {};
    const auto number = static_cast<std::uint32_t>(big_endian(frame, 0, 4));
    if (number == 0 || number > kMostPages) return {};
    pending[number] = at + kFrameHeader;
    const auto pages = static_cast<std::uint32_t>(big_endian(frame, 4, 4));
    if (pages == 0) continue;
    // What lies beyond the last page that somebody wrote cannot be read, whatever is claimed.
    for (const auto& [page, position] : pending) {
      in_log_[page] = position;
      written = std::max<std::uint64_t>(written, page);
    }
    pending.clear();
    count_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(pages, written));
  }
}

Result<bool> PageFile::read(std::uint32_t number, std::string& page) const {
  if (number == 0 || number > count_) return false;
  const auto logged = in_log_.find(number);
  const auto done =
      logged != in_log_.end()
          ? read_at(log_, logged->second, page_size_, page)
          : read_at(file_, (number - std::uint64_t{1}) * page_size_, page_size_, page);
  if (!done) return std::unexpected(done.error());
  return page.size() == page_size_;
}

Result<FreePages> free_pages(const PageFile& file) {
  FreePages found;
  found.is_free.resize(std::size_t{file.count()} + 1);
  std::string page;
  const auto first = file.read(1, page);
  if (!first) return std::unexpected(first.error());
  if (!*first || !page.starts_with("SQLite format 3")) return found;
  std::uint64_t next = big_endian(page, 32, 4);
  const std::uint64_t expected = big_endian(page, 36, 4);
  std::uint64_t count = 0;
  // Pages that a file was cut short of are in the list, and that is all there is to say of them.
  const auto add = [&](std::uint64_t number) {
    if (number < 2 || (number <= file.count() && found.is_free[number])) return false;
    if (number <= file.count()) found.is_free[number] = true;
    return ++count <= expected;
  };
  while (next != 0) {
    if (!add(next)) return found;
    const auto read = file.read(static_cast<std::uint32_t>(next), page);
    if (!read) return std::unexpected(read.error());
    if (!*read) return found;
    const std::uint64_t leaves = big_endian(page, 4, 4);
    if (leaves > file.page_size() / 4 - 2) return found;
    for (std::uint64_t i = 0; i < leaves; ++i) {
      if (!add(big_endian(page, 8 + 4 * i, 4))) return found;
    }
    next = big_endian(page, 0, 4);
  }
  found.complete = count == expected;
  return found;
}

}  // namespace sluice::sqlite
