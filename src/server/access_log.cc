#include "server/access_log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <ctime>
#include <utility>

#include "base/json_text.h"
#include "base/timestamp.h"
#include "base/utf8.h"

namespace sluice::server {

namespace {

// Lines are written when there are so many bytes of them, or the first is so old.
constexpr std::size_t kGathered = 64 * 1024;
constexpr std::chrono::seconds kFlushed{1};
// How long the end waits for a reader that takes nothing.
constexpr int kPatienceMs = 1000;

// A target may hold any bytes above the space; what is not UTF-8 would not be JSON.
void append_text(std::string& out, std::string_view text) {
  if (is_utf8(text)) {
    append_json_string(out, text);
  } else {
    append_json_string(out, printable(text));
  }
}

}  // namespace

Result<std::unique_ptr<AccessLog>> AccessLog::open(const std::string& path) {
  Descriptor file(path == "-"
                      ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                      : ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!file) {
    return std::unexpected(system_error(errno, fmt::format("open the access log {}", path)));
  }
  struct stat status{};
  const bool is_file = ::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode);
  // A pipe that poll(2) calls ready takes PIPE_BUF bytes.
  return std::unique_ptr<AccessLog>(new AccessLog(std::move(file), is_file ? kGathered : PIPE_BUF));
}

AccessLog::AccessLog(Descriptor file, std::size_t piece)
    : file_(std::move(file)), piece_(piece), thread_([this] { run(); }) {}

AccessLog::~AccessLog() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void AccessLog::write(const Line& line) {
  std::string text = R"({"time":")";
  text += format_timestamp(std::time(nullptr));
  text += R"(","peer":)";
  append_json_string(text, line.peer);
  if (!line.caller.empty()) {
    text += R"(,"caller":)";
    append_text(text, line.caller);
  }
  text += R"(,"method":)";
  append_text(text, line.method);
  text += R"(,"target":)";
  append_text(text, line.target);
  const double ms = std::chrono::duration<double, std::milli>(line.time).count();
  text += fmt::format(R"(,"status":{},"received":{},"sent":{},"ms":{:.3f}}})", line.status,
                      line.received, line.sent, ms);
  text += '\n';
  bool wakes = false;
  {
    const std::lock_guard lock(mutex_);
    if (lines_.size() + text.size() > kMost) {
      ++dropped_;
      return;
    }
    const std::size_t before = lines_.size();
    lines_ += text;
    wakes = before == 0 || (before < kGathered && lines_.size() >= kGathered);
  }
  if (wakes) changed_.notify_one();
}

void AccessLog::run() {
  std::unique_lock lock(mutex_);
  while (!ending_ || !lines_.empty()) {
    changed_.wait(lock, [&] { return ending_ || !lines_.empty(); });
    changed_.wait_for(lock, kFlushed, [&] { return ending_ || lines_.size() >= kGathered; });
    std::string lines = torn_ ? "\n" : "";
    lines += std::exchange(lines_, {});
    if (const std::uint64_t dropped = std::exchange(dropped_, 0); dropped > 0) {
      lines += fmt::format("{{\"time\":\"{}\",\"dropped\":{}}}\n",
                           format_timestamp(std::time(nullptr)), dropped);
    }
    lock.unlock();
    write_out(lines);
    lock.lock();
  }
}

void AccessLog::write_out(const std::string& lines) {
  std::size_t done = 0;
  while (done < lines.size()) {
    pollfd ready{.fd = file_.get(), .events = POLLOUT, .revents = 0};
    const int count = ::poll(&ready, 1, kPatienceMs);
    if (count == 0 && !ending_) continue;
    const std::size_t piece = std::min(lines.size() - done, piece_);
    const ssize_t n = count > 0 ? ::write(file_.get(), lines.data() + done, piece) : count;
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  if (done > 0) torn_ = lines[done - 1] != '\n';
  if (done == lines.size()) return;
  // A full disk, or a reader that is gone: the server goes on without these lines.
  const auto lost =
      std::count(lines.begin() + static_cast<std::ptrdiff_t>(done), lines.end(), '\n');
  const std::lock_guard lock(mutex_);
  dropped_ += static_cast<std::uint64_t>(lost);
}

}  // namespace sluice::server
