#include "bulk/output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <system_error>
#include <utility>

namespace sluice::bulk {

namespace {

// After a stop: how long a reader may take nothing. One that is alive but slow still gets all that
// has been received.
constexpr int kLongestStall = 1000;  // milliseconds

// The file that `path` leads to, so that a link is kept and its target replaced.
std::string resolved(const std::string& path) {
  std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : path;
}

int open_retrying(const std::string& path, int flags) {
  for (;;) {
    const int descriptor = ::open(path.c_str(), flags, 0600);
    if (descriptor >= 0 || errno != EINTR) return descriptor;
  }
}

}  // namespace

Output::Output(int descriptor, std::string path, std::string temporary, std::uint64_t bytes,
               io::Stop* stop)
    : descriptor_(descriptor),
      path_(std::move(path)),
      temporary_(std::move(temporary)),
      bytes_(bytes),
      stop_(stop) {
  struct stat status{};
  pace_.may_stall = ::fstat(descriptor_, &status) == 0 && !S_ISREG(status.st_mode);
  if (!pace_.may_stall || stop_ == nullptr) return;
  pace_.wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (pace_.wake < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  on_stop_.emplace(*stop_, [this] { ::eventfd_write(pace_.wake, 1); });
  if (stop_->requested()) ::eventfd_write(pace_.wake, 1);
}

std::unique_ptr<Output> Output::to_descriptor(int descriptor, io::Stop* stop) {
  return std::unique_ptr<Output>(new Output(descriptor, "", "", 0, stop));
}

Result<std::unique_ptr<Output>> Output::to_file(const std::string& path, std::string_view mark,
                                                std::uint64_t keep, io::Stop* stop) {
  const std::string target = resolved(path);
  struct stat status{};
  if (::stat(target.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    const int waits = S_ISFIFO(status.st_mode) ? O_NONBLOCK : 0;
    const int descriptor = open_retrying(target, O_WRONLY | O_CLOEXEC | waits);
    if (descriptor < 0 && errno == ENXIO && waits != 0) {
      return fail(ErrorCode::io,
                  "nobody reads the pipe {}: start what is to read it first, then run the command "
                  "again",
                  path);
    }
    if (descriptor < 0) return std::unexpected(system_error(errno, fmt::format("open {}", path)));
    return std::unique_ptr<Output>(new Output(descriptor, target, "", 0, stop));
  }
  std::string temporary = temporary_name(path, mark);
  const int descriptor = open_retrying(temporary, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC);
  if (descriptor < 0)
    return std::unexpected(system_error(errno, fmt::format("create {}", temporary)));
  std::unique_ptr<Output> output(new Output(descriptor, target, std::move(temporary), keep, stop));
  if (::fstat(descriptor, &status) != 0 || static_cast<std::uint64_t>(status.st_size) < keep) {
    return fail(
        ErrorCode::corrupt,
        "{} is shorter than the journal says: remove the job (`sluice jobs remove {}`) and run "
        "the command anew",
        output->temporary_, mark);
  }
  if (::ftruncate(descriptor, static_cast<off_t>(keep)) != 0) {
    return std::unexpected(system_error(errno, fmt::format("cut {}", output->temporary_)));
  }
  return output;
}

std::string Output::temporary_name(const std::string& path, std::string_view mark) {
  return fmt::format("{}.{}.partial", resolved(path), mark);
}

Output::~Output() {
  if (pace_.wake >= 0) ::close(pace_.wake);
  if (!path_.empty()) ::close(descriptor_);
}

// Waits until something can be written. False: a stop was requested, and nobody reads.
bool Output::wait_for_reader(int descriptor, Pace& pace) {
  for (;;) {
    // The stop is looked for until it has been seen: then its descriptor would always be ready.
    pollfd waiting[2] = {{descriptor, POLLOUT, 0}, {pace.stopped ? -1 : pace.wake, POLLIN, 0}};
    const int ready = ::poll(waiting, 2, pace.stopped ? kLongestStall : -1);
    // What else is wrong shows when the descriptor is written to.
    if (waiting[0].revents != 0 || (ready < 0 && errno != EINTR)) return true;
    if (ready == 0) return false;
    if (waiting[1].revents != 0) pace.stopped = true;
  }
}

Result<int> Output::write_all(int descriptor, Pace& pace, std::string_view path,
                              std::string_view text) {
  while (!text.empty()) {
    std::size_t size = text.size();
    if (pace.may_stall) {
      if (!wait_for_reader(descriptor, pace)) {
        return fail(ErrorCode::interrupted, Retry::fatal,
                    "{} bytes of the output are lost, because its reader has stalled", text.size());
      }
      // As much as a pipe that is ready takes without waiting (POSIX, write()); a longer write
      // would wait where no stop can end it, since the descriptor may be shared and is therefore
      // not made O_NONBLOCK.
      size = std::min<std::size_t>(size, PIPE_BUF);
    }
    const ssize_t wrote = ::write(descriptor, text.data(), size);
    if (wrote < 0 && (errno == EINTR || (errno == EAGAIN && pace.may_stall))) continue;
    if (wrote < 0 && errno == EPIPE) {
      // Whoever reads has seen enough (`sluice … | head`): the program ends quietly.
      return fail(ErrorCode::io, Retry::fatal, "{}", kReaderLeft);
    }
    if (wrote < 0) {
      Error error = system_error(errno, fmt::format("write {}", path.empty() ? "to stdout" : path));
      error.retry = Retry::fatal;
      return std::unexpected(std::move(error));
    }
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return 0;
}

io::Task<Result<int>> Output::write_piece(std::string text) {
  co_return co_await worker_.run([&] { return write_all(descriptor_, pace_, path_, text); });
}

io::Task<Result<>> Output::write(std::string text) {
  bytes_ += text.size();
  if (auto flushed = co_await flush(); !flushed) co_return flushed;
  const io::Executor executor = co_await boost::asio::this_coro::executor;
  writing_.emplace(executor, write_piece(std::move(text)));
  co_await io::yield();
  co_return Result<>();
}

io::Task<Result<>> Output::flush() {
  if (writing_) {
    const auto wrote = co_await writing_->get();
    writing_.reset();
    if (!wrote) {
      failed_ = wrote.error();
      if (failed_->code == ErrorCode::interrupted && stop_ != nullptr && stop_->requested()) {
        failed_->code = stop_->reason().code;
        failed_->message = fmt::format("{}; {}", stop_->reason().message, failed_->message);
      }
    }
  }
  if (failed_) co_return std::unexpected(*failed_);
  co_return Result<>();
}

Result<> Output::sync() {
  if (::fdatasync(descriptor_) != 0 && errno != EINVAL && errno != EROFS) {
    return std::unexpected(system_error(errno, fmt::format("sync {}", path_)));
  }
  return {};
}

io::Task<Result<>> Output::complete() {
  if (auto flushed = co_await flush(); !flushed) co_return flushed;
  if (temporary_.empty()) co_return Result<>();
  if (auto synced = sync(); !synced) co_return synced;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    co_return std::unexpected(
        system_error(errno, fmt::format("rename {} to {}", temporary_, path_)));
  }
  temporary_.clear();
  co_return Result<>();
}

void Output::discard() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

}  // namespace sluice::bulk
