#include "server/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>

#include "base/json_text.h"
#include "base/timestamp.h"
#include "base/utf8.h"

namespace sluice::server {

namespace {

constexpr std::size_t kGathered = 64 * 1024;
constexpr std::chrono::seconds kFlushed{1};

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
  const int file = path == "-"
                       ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                       : ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) {
    return std::unexpected(system_error(errno, fmt::format("open the access log {}", path)));
  }
  return std::unique_ptr<AccessLog>(new AccessLog(file));
}

AccessLog::~AccessLog() {
  flush();
  ::close(file_);
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
  const std::lock_guard lock(mutex_);
  lines_ += text;
  if (lines_.size() >= kGathered || io::Clock::now() - flushed_ >= kFlushed) flush_locked();
}

void AccessLog::flush() {
  const std::lock_guard lock(mutex_);
  flush_locked();
}

void AccessLog::flush_locked() {
  flushed_ = io::Clock::now();
  std::string_view rest = lines_;
  while (!rest.empty()) {
    const ssize_t n = ::write(file_, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    // A full disk, or a reader that is gone: the server goes on without the lines.
    if (n <= 0) break;
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  lines_.clear();
}

}  // namespace sluice::server
