#include "bulk/input.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::bulk {

namespace {
constexpr std::size_t kRawBuffer = std::size_t{128} << 10;
// The longest magic that detect_compression knows.
constexpr std::size_t kMagic = 6;

// The descriptor, or -1 with errno. The open of a named pipe would wait for a writer, where nothing
// could interrupt it.
int open_for_reading(const char* path) {
  struct stat status{};
  const bool pipe = ::stat(path, &status) == 0 && S_ISFIFO(status.st_mode);
  const int flags = O_RDONLY | O_CLOEXEC | (pipe ? O_NONBLOCK : 0);
  for (;;) {
    const int file = ::open(path, flags);
    if (file >= 0 || errno != EINTR) return file;
  }
}
}  // namespace

Result<std::unique_ptr<Input>> Input::open(std::string path) {
  const bool is_stdin = path == "-";
  const int file = is_stdin ? STDIN_FILENO : open_for_reading(path.c_str());
  if (file < 0) return std::unexpected(system_error(errno, path));
  std::unique_ptr<Input> input(new Input(file, !is_stdin, is_stdin ? "stdin" : std::move(path)));

  struct stat status{};
  if (::fstat(file, &status) != 0) return std::unexpected(system_error(errno, input->name_));
  if (S_ISDIR(status.st_mode)) {
    return fail(ErrorCode::io, "{} is a folder; give a file, or \"-\" for stdin.", input->name_);
  }
  input->regular_ = S_ISREG(status.st_mode);
  if (input->regular_) {
    const off_t begin = ::lseek(file, 0, SEEK_CUR);
    if (begin < 0) return std::unexpected(system_error(errno, input->name_));
    input->file_begin_ = static_cast<std::uint64_t>(begin);
    input->file_size_ = static_cast<std::uint64_t>(std::max<off_t>(status.st_size - begin, 0));
  } else if (::pipe2(input->wake_, O_CLOEXEC | O_NONBLOCK) != 0) {
    return std::unexpected(system_error(errno, input->name_));
  }
  return input;
}

Input::Input(int file, bool owned, std::string name)
    : file_(file), owned_(owned), name_(std::move(name)) {}

Input::~Input() {
  if (owned_) ::close(file_);
  for (const int end : wake_) {
    if (end >= 0) ::close(end);
  }
}

void Input::interrupt() {
  interrupted_ = true;
  if (wake_[1] < 0) return;
  // A full pipe wakes as well as one more byte would.
  [[maybe_unused]] const ssize_t written = ::write(wake_[1], "", 1);
}

std::unexpected<Error> Input::named(Error error) const {
  error.message.insert(0, name_ + ": ");
  return std::unexpected(std::move(error));
}

Result<std::size_t> Input::read_raw(std::span<char> out) {
  for (;;) {
    if (interrupted_) {
      return fail(ErrorCode::interrupted, "{}: reading was interrupted.", name_);
    }
    if (!regular_) {
      // A read from a named pipe that has had no writer yet gives 0, as at its end; but Linux
      // reports POLLHUP only after a writer has been there, so this waits for the first one.
      pollfd waiting[2] = {{file_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
      if (::poll(waiting, 2, -1) < 0 && errno != EINTR) {
        return std::unexpected(system_error(errno, name_));
      }
      if (waiting[0].revents == 0) continue;
    }
    const ssize_t size = ::read(file_, out.data(), out.size());
    if (size >= 0) return static_cast<std::size_t>(size);
    if (errno != EINTR && errno != EAGAIN) return std::unexpected(system_error(errno, name_));
  }
}

Result<> Input::start() {
  raw_.resize(kRawBuffer);
  while (raw_end_ < kMagic && !raw_ended_) {
    Result<std::size_t> size = read_raw(std::span(raw_).subspan(raw_end_));
    if (!size) return std::unexpected(std::move(size.error()));
    raw_end_ += *size;
    raw_ended_ = *size == 0;
  }
  Result<Compression> compression = detect_compression({raw_.data(), raw_end_});
  if (!compression) return named(std::move(compression.error()));
  decompressor_ = make_decompressor(*compression);
  started_ = true;
  return {};
}

Result<std::size_t> Input::read(std::span<char> out) {
  if (!started_) {
    if (Result<> begun = start(); !begun) return std::unexpected(std::move(begun.error()));
  }
  Result<std::size_t> size = 0;
  if (decompressor_ != nullptr) {
    size = read_decompressed(out);
  } else if (raw_begin_ != raw_end_) {
    size = std::min(out.size(), raw_end_ - raw_begin_);
    std::memcpy(out.data(), raw_.data() + raw_begin_, *size);
    raw_begin_ += *size;
    if (raw_begin_ == raw_end_) std::vector<char>().swap(raw_);
  } else if (!raw_ended_) {
    size = read_raw(out);
    if (size) raw_ended_ = *size == 0;
  }
  if (size) offset_ += *size;
  return size;
}

Result<std::size_t> Input::read_decompressed(std::span<char> out) {
  for (;;) {
    if (raw_begin_ == raw_end_ && !raw_ended_) {
      Result<std::size_t> size = read_raw(raw_);
      if (!size) return size;
      raw_begin_ = 0;
      raw_end_ = *size;
      raw_ended_ = *size == 0;
    }
    const std::string_view in(raw_.data() + raw_begin_, raw_end_ - raw_begin_);
    Result<Decompressor::Step> step =
        in.empty() ? decompressor_->drain(out) : decompressor_->step(in, out);
    if (!step) return named(std::move(step.error()));
    raw_begin_ += step->consumed;
    if (step->produced != 0) return step->produced;
    if (in.empty()) {
      if (decompressor_->complete()) return 0;
      return fail(ErrorCode::invalid_argument,
                  "{}: the compressed stream ends too early, after {} decompressed bytes; the file "
                  "is truncated.",
                  name_, offset_);
    }
    if (step->consumed == 0 && !in.empty()) {
      return fail(ErrorCode::invalid_argument, "{}: the compressed stream is damaged.", name_);
    }
  }
}

Result<> Input::skip_to(std::uint64_t offset) {
  if (!started_) {
    if (Result<> begun = start(); !begun) return begun;
  }
  const auto too_short = [&] {
    return fail(
        ErrorCode::invalid_argument,
        "{}: it ends before byte {}, at which reading was to go on; it is not the file that "
        "was read before.",
        name_, offset);
  };
  if (regular_ && decompressor_ == nullptr) {
    if (offset > file_size_) return too_short();
    if (::lseek(file_, static_cast<off_t>(file_begin_ + offset), SEEK_SET) < 0) {
      return std::unexpected(system_error(errno, name_));
    }
    std::vector<char>().swap(raw_);
    raw_begin_ = raw_end_ = 0;
    raw_ended_ = false;
    offset_ = offset;
    return {};
  }
  std::vector<char> passed(kRawBuffer);
  while (offset_ < offset) {
    const std::size_t wanted = std::min<std::uint64_t>(passed.size(), offset - offset_);
    Result<std::size_t> size = read(std::span(passed).first(wanted));
    if (!size) return std::unexpected(std::move(size.error()));
    if (*size == 0) return too_short();
  }
  return {};
}

}  // namespace sluice::bulk
