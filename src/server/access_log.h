// AccessLog: a line for each request that was answered.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/error.h"
#include "io/task.h"

namespace sluice::server {

// Writes JSON lines: {"time","peer","caller"?,"method","target","status","received","sent","ms"}.
// Never a header, so never a token. Lines are gathered and written about once a second; what was
// gathered is written at the end. Thread-safe: the loops of a server share one.
class AccessLog {
 public:
  // `path`: a file, which is appended to (mode 0600 when it is made); "-" is stdout.
  static Result<std::unique_ptr<AccessLog>> open(const std::string& path);
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  struct Line {
    std::string_view peer;
    std::string_view caller;
    std::string_view method;
    std::string_view target;
    int status = 0;
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
    io::Clock::duration time{};
  };
  void write(const Line& line);
  // Writes what was gathered.
  void flush();

 private:
  explicit AccessLog(int file) : file_(file) {}
  void flush_locked();

  int file_;
  std::mutex mutex_;  // guards what follows
  std::string lines_;
  io::Clock::time_point flushed_ = io::Clock::now();
};

}  // namespace sluice::server
