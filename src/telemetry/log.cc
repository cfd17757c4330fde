#include "telemetry/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace sluice {

namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::trace:
      return spdlog::level::trace;
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

}  // namespace

struct Log::Sink {
  spdlog::logger logger{"sluice", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
};

Log::Log(LogLevel level) : sink_(std::make_unique<Sink>()) {
  sink_->logger.set_level(to_spdlog(level));
  // RFC 3339 in UTC, so that lines of several machines can be merged.
  sink_->logger.set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
}

Log::~Log() = default;

bool Log::enabled(LogLevel level) const {
  return sink_->logger.should_log(to_spdlog(level));
}

void Log::write(LogLevel level, std::string_view message) {
  sink_->logger.log(to_spdlog(level), message);
}

Result<LogLevel> parse_log_level(std::string_view text) {
  if (text == "trace") return LogLevel::trace;
  if (text == "debug") return LogLevel::debug;
  if (text == "info") return LogLevel::info;
  if (text == "warn") return LogLevel::warn;
  if (text == "error") return LogLevel::error;
  if (text == "off") return LogLevel::off;
  return fail(ErrorCode::invalid_argument,
              "unknown log level \"{}\": use trace, debug, info, warn, error or off", text);
}

}  // namespace sluice
