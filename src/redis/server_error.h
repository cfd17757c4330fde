// What an error reply of a Redis server means for a run.
#pragma once

#include <string_view>

#include "base/error.h"
#include "flow/gate.h"

namespace sluice::redis {

// The error that the reply `text` ("WRONGPASS invalid username-password pair") is, with a retry
// class and what to do about it. `doing` completes "while …". Quotes the text in one line that is
// safe to print; the caller sees to it that it holds no secret.
Error server_error(std::string_view text, std::string_view doing);

// Whether the server does not know a command, or an option of it: it is older than that, or the
// command has been renamed.
[[nodiscard]] bool is_unknown_command(std::string_view text);

}  // namespace sluice::redis
