// Error and Result: how every operation in Sluice says that it failed.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <utility>

namespace sluice {

// What went wrong, in the terms that callers act on. The exit code of a program follows from it.
enum class ErrorCode : std::uint8_t {
  invalid_argument,  // a flag, key, file or value that the caller can correct
  not_found,         // the key, namespace, job or file does not exist
  unauthorized,      // the credentials are missing, wrong or not allowed to do this
  throttled,         // the service refuses more requests for now
  deadline,          // the time for the whole run is over
  interrupted,       // the user asked to stop
  network,           // no connection, or the connection broke
  timeout,           // a request took longer than it may
  too_large,         // the service refuses a batch or body of this size
  unavailable,       // the service answers that it is broken or busy
  protocol,          // an answer that cannot be understood or does not add up
  io,                // a local file or the disk
  no_space,          // the disk is full
  corrupt,           // a file of ours is damaged
  conflict,          // exists already, or another process holds it
  unsupported,       // this store or build cannot do that
};

// Whether the same operation may succeed when it is done once more. Decided where the error is
// born, because only there is it known what the other side has done.
enum class Retry : std::uint8_t {
  never,    // the answer would be the same
  again,    // try again after a pause (not before Error::retry_after, if that is set)
  smaller,  // try again with a smaller batch
  fatal,    // nothing else in this run can succeed either (credentials refused, disk full)
};

// A failure. `message` is a sentence for people: what happened, to what, and what to do next. It
// never holds a secret.
struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::protocol;
  Retry retry = Retry::never;
  std::optional<std::chrono::milliseconds> retry_after;
  std::string message;
};

template <class T = void>
using Result = std::expected<T, Error>;

// Makes the error that a function returns: `return fail(ErrorCode::io, "{}: {}", path, reason);`
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(ErrorCode code, Retry retry,
                                          fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(
      Error{code, retry, std::nullopt, fmt::format(format, std::forward<Args>(args)...)});
}

template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> format,
                                          Args&&... args) {
  return fail(code, Retry::never, format, std::forward<Args>(args)...);
}

// A system call that failed with `errno_value` while doing `what` ("open /tmp/x"). A full disk is
// fatal for a run; everything else is given up.
[[nodiscard]] Error system_error(int errno_value, std::string_view what);

// The name of a code in JSON output and journals: "not_found".
[[nodiscard]] std::string_view name(ErrorCode code);

// The exit code of the command-line contract: 0 done, 1 failed, 2 usage, 3 some keys failed,
// 4 not found, 5 not authorized, 6 throttled or past the deadline, 130 interrupted.
enum class ExitCode : int {
  done = 0,
  failed = 1,
  usage = 2,
  some_failed = 3,
  not_found = 4,
  unauthorized = 5,
  throttled = 6,
  interrupted = 130,
};
[[nodiscard]] ExitCode exit_code(ErrorCode code);

}  // namespace sluice
