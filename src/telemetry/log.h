// Log: what happened, for the person who looks into it. Goes to stderr.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string_view>

#include "base/error.h"

namespace sluice {

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error, off };

// "debug" → LogLevel::debug; invalid_argument names the known levels.
Result<LogLevel> parse_log_level(std::string_view text);

// A log with a level. Thread-safe. Never given a secret: callers log URLs without their query and
// headers without their values.
class Log {
 public:
  explicit Log(LogLevel level);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  [[nodiscard]] bool enabled(LogLevel level) const;

  // Formats only when the level is enabled: a disabled call costs a comparison.
  template <class... Args>
  void debug(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(LogLevel::debug))
      write(LogLevel::debug, fmt::vformat(format, fmt::make_format_args(args...)));
  }
  template <class... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(LogLevel::info))
      write(LogLevel::info, fmt::vformat(format, fmt::make_format_args(args...)));
  }
  template <class... Args>
  void warn(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(LogLevel::warn))
      write(LogLevel::warn, fmt::vformat(format, fmt::make_format_args(args...)));
  }
  template <class... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(LogLevel::error))
      write(LogLevel::error, fmt::vformat(format, fmt::make_format_args(args...)));
  }

 private:
  void write(LogLevel level, std::string_view message);
  struct Sink;
  std::unique_ptr<Sink> sink_;
};

}  // namespace sluice
