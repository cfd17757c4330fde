#include "bulk/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace sluice::bulk {

namespace {

Result<int> write_all(int descriptor, std::string_view path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(descriptor, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
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

io::Task<Result<int>> write_piece(io::Worker& worker, int descriptor, std::string path,
                                  std::string text) {
  co_return co_await worker.run([&] { return write_all(descriptor, path, text); });
}

// The file that `path` leads to, so that a link is kept and its target replaced.
std::string resolved(const std::string& path) {
  std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : path;
}

}  // namespace

std::unique_ptr<Output> Output::to_descriptor(int descriptor) {
  return std::unique_ptr<Output>(new Output(descriptor, "", "", 0));
}

Result<std::unique_ptr<Output>> Output::to_file(const std::string& path, std::string_view mark,
                                                std::uint64_t keep) {
  const std::string target = resolved(path);
  struct stat status{};
  if (::stat(target.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    const int descriptor = ::open(target.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return std::unexpected(system_error(errno, fmt::format("open {}", path)));
    return std::unique_ptr<Output>(new Output(descriptor, target, "", 0));
  }
  std::string temporary = temporary_name(path, mark);
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (descriptor < 0)
    return std::unexpected(system_error(errno, fmt::format("create {}", temporary)));
  std::unique_ptr<Output> output(new Output(descriptor, target, std::move(temporary), keep));
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
  if (!path_.empty()) ::close(descriptor_);
}

io::Task<Result<>> Output::write(std::string text) {
  bytes_ += text.size();
  if (auto flushed = co_await flush(); !flushed) co_return flushed;
  const io::Executor executor = co_await boost::asio::this_coro::executor;
  writing_.emplace(executor, write_piece(worker_, descriptor_, path_, std::move(text)));
  co_await io::yield();
  co_return Result<>();
}

io::Task<Result<>> Output::flush() {
  if (!writing_) co_return Result<>();
  const auto wrote = co_await writing_->get();
  writing_.reset();
  if (!wrote) co_return std::unexpected(wrote.error());
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
