#include "bulk/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "bulk/job_log.h"
#include "io/file.h"

namespace sluice::bulk {

namespace {

constexpr std::string_view kMagic = "sluice-spool 1\n";
constexpr std::size_t kBuffer = std::size_t{256} << 10;
constexpr std::uint32_t kLongestKey = 1u << 20;

class SpoolSource : public Source {
 public:
  SpoolSource(std::string path, int file, const Position& start, std::size_t page_keys)
      : path_(std::move(path)),
        file_(file),
        page_keys_(page_keys),
        offset_(start.offset > 0 ? start.offset : kMagic.size()),
        ahead_(start.ahead),
        end_(start.end) {}
  ~SpoolSource() override { ::close(file_); }
  SpoolSource(const SpoolSource&) = delete;
  SpoolSource& operator=(const SpoolSource&) = delete;

  io::Task<Result<SourcePage>> next() override { co_return read_page(); }
  io::Task<> close() override { co_return; }
  [[nodiscard]] bool knows_metadata() const override { return false; }

 private:
  Result<SourcePage> read_page() {
    SourcePage page;
    page.bytes.from = place_at(offset_);
    while (!end_ && page.entries.size() < page_keys_) {
      std::uint32_t size = 0;
      if (!has(sizeof size)) {
        if (auto more = fill(); !more) return std::unexpected(more.error());
        if (!has(1)) {
          end_ = true;
          break;
        }
      }
      if (!has(sizeof size)) return truncated();
      std::memcpy(&size, buffer_.data() + at_, sizeof size);
      if (size > kLongestKey) return truncated();
      if (!has(sizeof size + size)) {
        if (auto more = fill(); !more) return std::unexpected(more.error());
      }
      if (!has(sizeof size + size)) return truncated();
      // Of a resumed job: what had ended ahead of its start does not come again.
      if (ahead_.empty() || !ahead_.contains(place_at(offset_))) {
        page.entries.append({.key = std::string_view(buffer_).substr(at_ + sizeof size, size)});
      }
      at_ += sizeof size + size;
      offset_ += sizeof size + size;
    }
    // The keys were counted as listed when they were matched.
    page.bytes.to = place_at(offset_);
    page.after.offset = offset_;
    page.after.end = end_;
    return page;
  }

  [[nodiscard]] bool has(std::size_t bytes) const { return buffer_.size() - at_ >= bytes; }

  // Reads on, so that the buffer holds at least one whole key if the file does.
  Result<> fill() {
    buffer_.erase(0, at_);
    at_ = 0;
    const std::size_t want = kBuffer + kLongestKey;
    while (buffer_.size() < want) {
      const std::size_t old = buffer_.size();
      buffer_.resize(want);
      const ssize_t got =
          ::pread(file_, buffer_.data() + old, want - old, static_cast<off_t>(offset_ + old));
      buffer_.resize(old + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
      if (got < 0) return std::unexpected(system_error(errno, fmt::format("read {}", path_)));
      if (got == 0) break;
    }
    return {};
  }

  [[nodiscard]] std::unexpected<Error> truncated() const {
    return fail(ErrorCode::corrupt,
                "{} ends in the middle of a key: remove the job and run it anew", path_);
  }

  std::string path_;
  int file_;
  std::size_t page_keys_;
  std::string buffer_;
  std::size_t at_ = 0;        // the next unread byte of buffer_
  std::uint64_t offset_ = 0;  // its place in the file
  Stretches ahead_;
  bool end_;
};

}  // namespace

Result<SpoolPlace> SpoolPlace::make(const Job& job) {
  if (job.journal != nullptr) return SpoolPlace(job.journal->spool_path(), false);
  const char* folder = ::secure_getenv("TMPDIR");
  std::string path = fmt::format("{}/sluice-spool-XXXXXX", folder != nullptr ? folder : "/tmp");
  const int file = ::mkostemp(path.data(), O_CLOEXEC);
  if (file < 0) return std::unexpected(system_error(errno, fmt::format("create {}", path)));
  ::close(file);
  return SpoolPlace(std::move(path), true);
}

SpoolPlace::~SpoolPlace() {
  if (temporary_) ::unlink(path_.c_str());
}

Result<SpoolWriter> SpoolWriter::create(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return std::unexpected(system_error(errno, fmt::format("create {}", path)));
  SpoolWriter writer(path, file);
  writer.buffer_ = kMagic;
  return writer;
}

SpoolWriter::SpoolWriter(SpoolWriter&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      buffer_(std::move(other.buffer_)) {}

SpoolWriter::~SpoolWriter() {
  if (file_ >= 0) ::close(file_);
}

Result<> SpoolWriter::append(const store::Block& keys) {
  for (const store::EntryView& entry : keys) {
    if (auto appended = append(entry.key); !appended) return appended;
  }
  return {};
}

Result<> SpoolWriter::append(std::string_view key) {
  const auto size = static_cast<std::uint32_t>(key.size());
  char length[sizeof size];
  std::memcpy(length, &size, sizeof size);
  buffer_.append(length, sizeof size).append(key);
  return buffer_.size() >= kBuffer ? flush() : Result<>();
}

Result<> SpoolWriter::flush() {
  if (auto written = io::write_all(file_, path_, buffer_); !written) return written;
  buffer_.clear();
  return {};
}

Result<> SpoolWriter::finish() {
  if (auto flushed = flush(); !flushed) return flushed;
  if (::fdatasync(file_) != 0)
    return std::unexpected(system_error(errno, fmt::format("sync {}", path_)));
  return {};
}

Result<std::unique_ptr<Source>> open_spool(const std::string& path, const Position& start,
                                           std::size_t page_keys) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) {
    return fail(ErrorCode::corrupt,
                "the matched keys of the job are gone from {}: remove the job and run it anew",
                path);
  }
  if (file < 0) return std::unexpected(system_error(errno, fmt::format("open {}", path)));
  std::string magic(kMagic.size(), '\0');
  if (::pread(file, magic.data(), magic.size(), 0) != static_cast<ssize_t>(magic.size()) ||
      magic != kMagic) {
    ::close(file);
    return fail(ErrorCode::corrupt,
                "{} is not a list of matched keys that this version has written", path);
  }
  return std::unique_ptr<Source>(std::make_unique<SpoolSource>(path, file, start, page_keys));
}

}  // namespace sluice::bulk
