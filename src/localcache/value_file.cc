#include "localcache/value_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <new>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::localcache {

namespace {

constexpr std::string_view kMagic = "SLCVALUE";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kPiece = std::size_t{1} << 20;

template <class Number>
void put(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}
template <class Number>
Number number_at(std::string_view bytes, std::size_t position) {
  Number number{};
  std::memcpy(&number, bytes.data() + position, sizeof number);
  return number;
}

struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

Error damaged(const std::string& path, std::string_view what) {
  return Error{ErrorCode::corrupt, Retry::never, std::nullopt,
               fmt::format("the value in {} is damaged: {}.", path, what)};
}

// Gives out what a file holds behind its header, once more checked as it goes.
class FileSource : public Value::Source {
 public:
  FileSource(Descriptor file, std::string path, const ValueFileHeader& header)
      : file_(std::move(file)), path_(std::move(path)), header_(header) {
    XXH3_64bits_reset(&hash_);
    stored_.resize(kPiece);
    if ((header.form & Form::compressed) != 0) {
      context_.reset(ZSTD_createDCtx());
      if (context_ == nullptr) throw std::bad_alloc();
      given_.resize(kPiece);
    }
  }

  Result<std::string_view> next() override {
    auto piece = context_ == nullptr ? next_stored() : next_decompressed();
    if (!piece) return piece;
    given_bytes_ += piece->size();
    // It was right when it was opened: whatever came of it, it must not pass for the whole.
    if (given_bytes_ > header_.value_bytes ||
        (piece->empty() && (given_bytes_ != header_.value_bytes ||
                            XXH3_64bits_digest(&hash_) != header_.stored_hash))) {
      return std::unexpected(damaged(path_, "it changed while it was read"));
    }
    return piece;
  }

 private:
  Result<std::string_view> next_stored() {
    const auto got = read_full(file_.get(), path_, stored_.data(), stored_.size());
    if (!got) return std::unexpected(got.error());
    XXH3_64bits_update(&hash_, stored_.data(), *got);
    return std::string_view(stored_).substr(0, *got);
  }

  Result<std::string_view> next_decompressed() {
    ZSTD_outBuffer out{given_.data(), given_.size(), 0};
    while (out.pos < out.size) {
      if (in_.pos == in_.size) {
        const auto piece = next_stored();
        if (!piece) return std::unexpected(piece.error());
        if (piece->empty()) break;
        in_ = {piece->data(), piece->size(), 0};
      }
      const std::size_t left = ZSTD_decompressStream(context_.get(), &out, &in_);
      if (ZSTD_isError(left) != 0) {
        return std::unexpected(damaged(path_, ZSTD_getErrorName(left)));
      }
    }
    return std::string_view(given_).substr(0, out.pos);
  }

  Descriptor file_;
  std::string path_;
  ValueFileHeader header_;
  std::string stored_;
  std::string given_;
  std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  XXH3_state_t hash_;
  std::uint64_t given_bytes_ = 0;
};

}  // namespace

Result<ValueFileHeader> parse_value_file_header(std::string_view bytes) {
  if (bytes.size() < kValueFileHeader || !bytes.starts_with(kMagic)) {
    return fail(ErrorCode::corrupt, "it does not begin as a value file does.");
  }
  if (number_at<std::uint32_t>(bytes, 8) != kVersion) {
    return fail(ErrorCode::corrupt, "it has a version that is not known.");
  }
  ValueFileHeader header{.form = number_at<std::uint32_t>(bytes, 12),
                         .value_bytes = number_at<std::uint64_t>(bytes, 16),
                         .stored_bytes = number_at<std::uint64_t>(bytes, 24),
                         .stored_hash = number_at<std::uint64_t>(bytes, 32)};
  const bool compressed = (header.form & Form::compressed) != 0;
  if ((header.form & ~Form::all) != 0 || header.value_bytes > kLargestValue ||
      header.stored_bytes > 2 * kLargestValue ||
      (!compressed && header.stored_bytes != header.value_bytes)) {
    return fail(ErrorCode::corrupt, "its header makes no sense.");
  }
  return header;
}

std::string format_value_file_header(const ValueFileHeader& header) {
  std::string bytes(kMagic);
  put(bytes, kVersion);
  put(bytes, header.form);
  put(bytes, header.value_bytes);
  put(bytes, header.stored_bytes);
  put(bytes, header.stored_hash);
  return bytes;
}

bool is_value_file_name(std::string_view name) {
  return name.size() == 16 && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool remove_value_file(int folder, const std::string& name) {
  return is_value_file_name(name) && ::unlinkat(folder, name.c_str(), 0) == 0;
}

Result<std::optional<Value>> read_value_file(
    const std::string& folder, const std::string& name,
    const std::function<bool(const ValueFileHeader&)>& accept) {
  const std::string path = fmt::format("{}/{}", folder, name);
  if (!is_value_file_name(name)) {
    return std::unexpected(damaged(path, "value files do not have such a name"));
  }
  const auto opened = open_folder(folder);
  if (!opened) {
    if (opened.error().code == ErrorCode::not_found) return std::nullopt;
    return std::unexpected(opened.error());
  }
  Descriptor file = open_file_at(opened->get(), name, O_RDONLY | O_NONBLOCK);
  if (!file) {
    if (errno == ENOENT) return std::nullopt;
    // A symbolic link, and a socket: whatever is in the place of the value, the value is not there.
    if (errno == ELOOP || errno == ENXIO) {
      return std::unexpected(damaged(path, "it is not a regular file"));
    }
    return std::unexpected(system_error(errno, fmt::format("open {}", path)));
  }
  // A pipe would be waited for, and a device has no end.
  struct stat status{};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return std::unexpected(damaged(path, "it is not a regular file"));
  }
  std::array<char, kValueFileHeader> head{};
  const auto got = read_full(file.get(), path, head.data(), head.size());
  if (!got) return std::unexpected(got.error());
  const auto header = parse_value_file_header({head.data(), *got});
  if (!header) return std::unexpected(damaged(path, header.error().message));
  if (!accept(*header)) return std::unexpected(damaged(path, "it belongs to another entry"));

  XXH3_state_t hash;
  XXH3_64bits_reset(&hash);
  std::string piece(kPiece, '\0');
  std::uint64_t bytes = 0;
  for (;;) {
    const auto size = read_full(file.get(), path, piece.data(), piece.size());
    if (!size) return std::unexpected(size.error());
    if (*size == 0) break;
    XXH3_64bits_update(&hash, piece.data(), *size);
    bytes += *size;
  }
  if (bytes != header->stored_bytes || XXH3_64bits_digest(&hash) != header->stored_hash) {
    return std::unexpected(damaged(path, "its checksum does not fit"));
  }
  if (::lseek(file.get(), kValueFileHeader, SEEK_SET) < 0) {
    return std::unexpected(system_error(errno, fmt::format("read {}", path)));
  }
  return Value(header->value_bytes, std::make_unique<FileSource>(std::move(file), path, *header));
}

Result<ValueFiles> list_value_files(const std::string& folder, bool remove_abandoned) {
  // Where a file cannot be locked, its writer is taken for dead after a day.
  constexpr std::time_t kLongestWrite = 24 * 60 * 60;
  ValueFiles found;
  auto opened = open_folder(folder);
  if (!opened) {
    if (opened.error().code == ErrorCode::not_found) return found;
    return std::unexpected(opened.error());
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(opened->get()), ::closedir);
  if (entries == nullptr) {
    return std::unexpected(system_error(errno, fmt::format("read {}", folder)));
  }
  opened->release();  // it is closed with `entries`
  const int in = ::dirfd(entries.get());
  while (const dirent* const entry = ::readdir(entries.get())) {
    const std::string_view name = entry->d_name;
    if (is_value_file_name(name)) {
      found.values.emplace_back(name);
      continue;
    }
    if (!name.starts_with(kTemporaryValueFile) ||
        !is_value_file_name(name.substr(kTemporaryValueFile.size()))) {
      continue;
    }
    const Descriptor file = open_file_at(in, std::string(name), O_RDWR | O_NONBLOCK);
    if (!file) continue;
    const auto locked = try_lock(file.get(), RangeLock::exclusive);
    struct stat status{};
    if (locked ? *locked
               : ::fstat(file.get(), &status) == 0 &&
                     std::time(nullptr) - status.st_mtime > kLongestWrite) {
      found.abandoned.emplace_back(name);
      // While it is locked: see NewValueFile::make.
      if (remove_abandoned) ::unlinkat(in, entry->d_name, 0);
    }
  }
  return found;
}

}  // namespace sluice::localcache
