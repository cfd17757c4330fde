#include "bulk/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/descriptor.h"
#include "bulk/job_log.h"

namespace sluice::bulk {

namespace {

// Of the same length.
constexpr std::string_view kMagic = "sluice-spool 1\n";
constexpr std::string_view kMagicOfMetadata = "sluice-spool m\n";
constexpr std::size_t kBuffer = std::size_t{256} << 10;
constexpr std::uint32_t kLongestText = 1u << 20;

class SpoolSource : public Source {
 public:
  SpoolSource(std::string path, int file, bool metadata, const Position& start,
              std::size_t page_keys)
      : path_(std::move(path)),
        file_(file),
        metadata_(metadata),
        page_keys_(page_keys),
        offset_(start.offset > 0 ? start.offset : kMagic.size()),
        ahead_(start.ahead),
        end_(start.end) {}
  ~SpoolSource() override { ::close(file_); }
  SpoolSource(const SpoolSource&) = delete;
  SpoolSource& operator=(const SpoolSource&) = delete;

  io::Task<Result<SourcePage>> next() override { co_return read_page(); }
  io::Task<> close() override { co_return; }
  [[nodiscard]] bool knows_metadata() const override { return metadata_; }

 private:
  Result<SourcePage> read_page() {
    SourcePage page;
    page.bytes.from = place_at(offset_);
    while (!end_ && page.entries.size() < page_keys_) {
      if (!has(1)) {
        if (auto more = fill(); !more) return std::unexpected(more.error());
        if (!has(1)) {
          end_ = true;
          break;
        }
      }
      // The texts of a record lie in the buffer together.
      if (!has_record()) {
        if (auto more = fill(); !more) return std::unexpected(more.error());
        if (!has_record()) return truncated();
      }
      const std::uint64_t begin = offset_;
      const std::string_view key = take_text();
      const std::string_view metadata = metadata_ ? take_text() : std::string_view();
      // Of a resumed job: what had ended ahead of its start does not come again.
      if (ahead_.empty() || !ahead_.contains(place_at(begin))) {
        page.entries.append({.key = key, .value = {}, .metadata = metadata});
      }
    }
    // The keys were counted as listed when they were matched.
    page.bytes.to = place_at(offset_);
    page.after.offset = offset_;
    page.after.end = end_;
    return page;
  }

  [[nodiscard]] bool has(std::size_t bytes) const { return buffer_.size() - at_ >= bytes; }

  // Whether the buffer holds the next key whole, and its metadata.
  [[nodiscard]] bool has_record() const {
    std::size_t end = at_;
    for (int texts = metadata_ ? 2 : 1; texts > 0; --texts) {
      std::uint32_t size = 0;
      if (buffer_.size() - end < sizeof size) return false;
      std::memcpy(&size, buffer_.data() + end, sizeof size);
      if (size > kLongestText || buffer_.size() - end - sizeof size < size) return false;
      end += sizeof size + size;
    }
    return true;
  }

  std::string_view take_text() {
    std::uint32_t size = 0;
    std::memcpy(&size, buffer_.data() + at_, sizeof size);
    const std::string_view text = std::string_view(buffer_).substr(at_ + sizeof size, size);
    at_ += sizeof size + size;
    offset_ += sizeof size + size;
    return text;
  }

  // Reads on, so that the buffer holds at least one whole record if the file does.
  Result<> fill() {
    buffer_.erase(0, at_);
    at_ = 0;
    const std::size_t want = kBuffer + 2 * (kLongestText + sizeof(std::uint32_t));
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
  bool metadata_;
  std::size_t page_keys_;
  std::string buffer_;
  std::size_t at_ = 0;        // the next unread byte of buffer_
  std::uint64_t offset_ = 0;  // its place in the file
  Stretches ahead_;
  bool end_;
};

}  // namespace

Result<SpoolPlace> SpoolPlace::make(const Job& job) {
  if (job.journal != nullptr) return SpoolPlace(job.journal->spool_path());
  auto folder = io::TemporaryFolder::create("spool");
  if (!folder) return std::unexpected(std::move(folder.error()));
  SpoolPlace place(folder->path() + "/keys");
  place.temporary_.emplace(std::move(*folder));
  return place;
}

Result<SpoolWriter> SpoolWriter::create(const std::string& path, bool metadata) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return std::unexpected(system_error(errno, fmt::format("create {}", path)));
  SpoolWriter writer(path, file, metadata);
  writer.buffer_ = metadata ? kMagicOfMetadata : kMagic;
  return writer;
}

SpoolWriter::SpoolWriter(SpoolWriter&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      metadata_(other.metadata_),
      buffer_(std::move(other.buffer_)) {}

SpoolWriter::~SpoolWriter() {
  if (file_ >= 0) ::close(file_);
}

Result<> SpoolWriter::append(const store::Block& keys) {
  for (const store::EntryView& entry : keys) {
    if (auto appended = append(entry.key, entry.metadata); !appended) return appended;
  }
  return {};
}

Result<> SpoolWriter::append(std::string_view key, std::string_view metadata) {
  if (key.size() > kLongestText || metadata.size() > kLongestText) {
    return fail(ErrorCode::too_large, Retry::fatal,
                "a key or its metadata is longer than {} bytes, the most that a job keeps",
                kLongestText);
  }
  append_text(key);
  if (metadata_) append_text(metadata);
  return buffer_.size() >= kBuffer ? flush() : Result<>();
}

void SpoolWriter::append_text(std::string_view text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  char length[sizeof size];
  std::memcpy(length, &size, sizeof size);
  buffer_.append(length, sizeof size).append(text);
}

Result<> SpoolWriter::flush() {
  if (auto written = write_all(file_, path_, buffer_); !written) return written;
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
      (magic != kMagic && magic != kMagicOfMetadata)) {
    ::close(file);
    return fail(ErrorCode::corrupt,
                "{} is not a list of matched keys that this version has written", path);
  }
  return std::unique_ptr<Source>(
      std::make_unique<SpoolSource>(path, file, magic == kMagicOfMetadata, start, page_keys));
}

}  // namespace sluice::bulk
