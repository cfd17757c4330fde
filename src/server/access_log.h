// AccessLog: a line for each request that was answered.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/descriptor.h"
#include "base/error.h"
#include "io/task.h"

namespace sluice::server {

// Writes JSON lines: {"time","peer","caller"?,"method","target","status","received","sent","ms"}.
// Never a header, so never a token. Lines are gathered and written about once a second, by a thread
// of the log's own: a slow disk, or a reader that stands still, holds up no request. When kMost
// bytes wait, further lines are dropped, and a line {"time","dropped"} says how many. Thread-safe:
// the loops of a server share one.
class AccessLog {
 public:
  // `path`: a file, which is appended to (mode 0600 when it is made); "-" is stdout.
  static Result<std::unique_ptr<AccessLog>> open(const std::string& path);
  // Writes what was gathered, unless nobody takes it.
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

  static constexpr std::size_t kMost = std::size_t{4} << 20;

 private:
  AccessLog(Descriptor file, std::size_t piece);
  void run();
  void write_out(const std::string& lines);

  const Descriptor file_;
  const std::size_t piece_;  // bytes that can be written at once without waiting
  bool torn_ = false;        // a line was written in part; used by the thread only
  std::atomic<bool> ending_ = false;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::string lines_;
  std::uint64_t dropped_ = 0;
  std::thread thread_;
};

}  // namespace sluice::server
