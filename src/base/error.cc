#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace sluice {

Error system_error(int errno_value, std::string_view what) {
  ErrorCode code = ErrorCode::io;
  Retry retry = Retry::never;
  if (errno_value == ENOSPC || errno_value == EDQUOT) {
    code = ErrorCode::no_space;
    retry = Retry::fatal;
  } else if (errno_value == ENOENT) {
    code = ErrorCode::not_found;
  }
  // strerrordesc_np is thread-safe and in English whatever the locale; strerror is neither.
  const char* reason = strerrordesc_np(errno_value);
  return Error{code, retry, std::nullopt,
               fmt::format("{}: {}", what, reason != nullptr ? reason : "unknown error")};
}

std::string_view name(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::unauthorized:
      return "unauthorized";
    case ErrorCode::throttled:
      return "throttled";
    case ErrorCode::deadline:
      return "deadline";
    case ErrorCode::interrupted:
      return "interrupted";
    case ErrorCode::network:
      return "network";
    case ErrorCode::timeout:
      return "timeout";
    case ErrorCode::too_large:
      return "too_large";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::protocol:
      return "protocol";
    case ErrorCode::io:
      return "io";
    case ErrorCode::no_space:
      return "no_space";
    case ErrorCode::corrupt:
      return "corrupt";
    case ErrorCode::conflict:
      return "conflict";
    case ErrorCode::unsupported:
      return "unsupported";
  }
  return "unknown";
}

ExitCode exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return ExitCode::usage;
    case ErrorCode::not_found:
      return ExitCode::not_found;
    case ErrorCode::unauthorized:
      return ExitCode::unauthorized;
    case ErrorCode::throttled:
    case ErrorCode::deadline:
      return ExitCode::throttled;
    case ErrorCode::interrupted:
      return ExitCode::interrupted;
    default:
      return ExitCode::failed;
  }
}

}  // namespace sluice
