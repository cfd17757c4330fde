#include "localcache/new_value_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <new>
#include <optional>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::localcache {

namespace {

// How much of a value tells whether compressing all of it pays.
constexpr std::size_t kSample = std::size_t{256} << 10;
constexpr int kLevel = 1;

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

// Takes the stored bytes of a new file: writes and hashes them.
class Sink {
 public:
  Sink(int file, std::string path) : file_(file), path_(std::move(path)) {
    XXH3_64bits_reset(&hash_);
  }
  Result<> write(std::string_view bytes) {
    XXH3_64bits_update(&hash_, bytes.data(), bytes.size());
    bytes_ += bytes.size();
    return write_all(file_, path_, bytes);
  }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t hash() const { return XXH3_64bits_digest(&hash_); }

 private:
  int file_;
  std::string path_;
  XXH3_state_t hash_;
  std::uint64_t bytes_ = 0;
};

// Compresses what goes into a sink.
class Compressor {
 public:
  explicit Compressor(Sink& sink) : context_(ZSTD_createCCtx()), sink_(sink) {
    if (context_ == nullptr) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kLevel);
    buffer_.resize(ZSTD_CStreamOutSize());
  }
  Result<> write(std::string_view bytes, bool last = false) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer out{buffer_.data(), buffer_.size(), 0};
      const std::size_t left =
          ZSTD_compressStream2(context_.get(), &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left) != 0) {
        return fail(ErrorCode::io, "cannot compress a value: {}.", ZSTD_getErrorName(left));
      }
      if (auto written = sink_.write({buffer_.data(), out.pos}); !written) return written;
      if (last ? left == 0 : in.pos == in.size) return {};
    }
  }

 private:
  std::unique_ptr<ZSTD_CCtx, FreeCompressor> context_;
  Sink& sink_;
  std::string buffer_;
};

bool sample_pays(std::string_view sample) {
  std::string room(sample.size() - sample.size() / 8, '\0');
  return ZSTD_isError(
             ZSTD_compress(room.data(), room.size(), sample.data(), sample.size(), kLevel)) == 0;
}

}  // namespace

std::string NewValueFile::temporary_name() const {
  return fmt::format("{}{}", kTemporaryValueFile, name_);
}

std::string NewValueFile::temporary_path() const {
  return fmt::format("{}/{}", folder_path_, temporary_name());
}

Result<bool> NewValueFile::make(unsigned mode) {
  name_ = random_name();
  file_ = make_unnamed_file(folder_.get(), mode);
  unnamed_ = static_cast<bool>(file_);
  if (!file_) {
    file_ = open_file_at(folder_.get(), temporary_name(), O_RDWR | O_CREAT | O_EXCL, mode);
  }
  if (!file_) {
    return std::unexpected(system_error(errno, fmt::format("make {}", temporary_path())));
  }
  const auto locked = try_lock(file_.get(), RangeLock::exclusive);
  // Where there are no locks, the file is told from an abandoned one by its age.
  if (!locked) {
    if (locked.error().code == ErrorCode::unsupported) return true;
    return std::unexpected(locked.error());
  }
  struct stat status{};
  return *locked && ::fstat(file_.get(), &status) == 0 && (unnamed_ || status.st_nlink > 0);
}

Result<NewValueFile> NewValueFile::write(const std::string& folder, unsigned mode,
                                         const std::function<Result<std::string_view>()>& next,
                                         bool sync) {
  NewValueFile made;
  auto opened = open_folder(folder);
  if (!opened) return std::unexpected(opened.error());
  made.folder_ = std::move(*opened);
  made.folder_path_ = folder;
  for (;;) {
    const auto is_made = made.make(mode);
    if (!is_made) return std::unexpected(is_made.error());
    if (*is_made) break;
  }
  const std::string path = made.temporary_path();
  if (auto written = write_all(made.file_.get(), path, std::string(kValueFileHeader, '\0'));
      !written) {
    return std::unexpected(written.error());
  }

  Sink sink(made.file_.get(), path);
  std::optional<Compressor> compressor;
  std::string beginning;
  bool decided = false;
  const auto decide = [&]() -> Result<> {
    decided = true;
    if (sample_pays(beginning)) compressor.emplace(sink);
    return compressor ? compressor->write(beginning) : sink.write(beginning);
  };
  for (;;) {
    const auto piece = next();
    if (!piece) return std::unexpected(piece.error());
    if (piece->empty()) break;
    made.header_.value_bytes += piece->size();
    if (made.header_.value_bytes > kLargestValue) {
      return fail(ErrorCode::too_large, "a value is larger than 2 GiB, the most that is cached.");
    }
    Result<> written;
    if (!decided) {
      beginning += *piece;
      if (beginning.size() >= kSample) written = decide();
    } else {
      written = compressor ? compressor->write(*piece) : sink.write(*piece);
    }
    if (!written) return std::unexpected(written.error());
  }
  Result<> ended;
  if (!decided) ended = decide();
  if (ended && compressor) ended = compressor->write({}, true);
  made.header_.form = Form::in_file | (compressor ? Form::compressed : 0);
  made.header_.stored_bytes = sink.bytes();
  made.header_.stored_hash = sink.hash();
  if (ended)
    ended = write_all_at(made.file_.get(), path, format_value_file_header(made.header_), 0);
  if (!ended) return std::unexpected(ended.error());
  if (sync && ::fdatasync(made.file_.get()) != 0) {
    return std::unexpected(system_error(errno, fmt::format("sync {}", path)));
  }
  return made;
}

NewValueFile::NewValueFile(NewValueFile&& other) noexcept
    : folder_path_(std::move(other.folder_path_)),
      folder_(std::move(other.folder_)),
      name_(std::move(other.name_)),
      file_(std::move(other.file_)),
      header_(other.header_),
      unnamed_(other.unnamed_),
      published_(other.published_),
      kept_(other.kept_) {}

NewValueFile::~NewValueFile() {
  if (!file_ || kept_ || (unnamed_ && !published_)) return;
  ::unlinkat(folder_.get(), published_ ? name_.c_str() : temporary_name().c_str(), 0);
}

Result<> NewValueFile::publish() {
  if (unnamed_) {
    if (!name_file(file_.get(), folder_.get(), name_)) {
      return std::unexpected(system_error(errno, fmt::format("name {}/{}", folder_path_, name_)));
    }
    published_ = true;
    return {};
  }
  if (::renameat(folder_.get(), temporary_name().c_str(), folder_.get(), name_.c_str()) != 0) {
    return std::unexpected(system_error(errno, fmt::format("rename {}", temporary_path())));
  }
  published_ = true;
  return {};
}

}  // namespace sluice::localcache
