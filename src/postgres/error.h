// What PostgreSQL's errors mean for the callers of Sluice.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::postgres {

// What the server said: its fields, in its own language.
struct ServerError {
  std::string sqlstate;  // five characters; empty: the server said nothing, the connection broke
  std::string message;
  std::string detail;  // often empty
};

// The code, retry class and advice of a SQLSTATE (PostgreSQL documentation, appendix A). Whole
// classes are decided by their first two characters. Pure.
struct Meaning {
  ErrorCode code;
  Retry retry;
  std::string_view advice;
};
[[nodiscard]] Meaning meaning_of(std::string_view sqlstate);

// The error as callers see it. `where` names the database, `doing` completes "while …".
[[nodiscard]] Error make_error(const ServerError& said, std::string_view where,
                               std::string_view doing);

// `text`, from a server or from libpq, made fit to be quoted: one line of at most 300 columns, and
// "***" for every occurrence of `password`.
[[nodiscard]] std::string quoted(std::string_view text, std::string_view password);

// The SQLSTATE in a message of libpq about a connection that failed, which libpq gives nowhere
// else. It needs PQERRORS_VERBOSE: "…: FATAL:  28P01: password …". Empty: there is none.
[[nodiscard]] std::string_view sqlstate_in(std::string_view message);

}  // namespace sluice::postgres
