// What is made of messages of libpq and of servers: the SQLSTATE in them, and what is quoted.
#include <string_view>

#include "base/utf8.h"
#include "postgres/error.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view sqlstate = postgres::sqlstate_in(text);
  fuzz::require(sqlstate.empty() || sqlstate.size() == 5, "an SQLSTATE has five characters");
  fuzz::require(sqlstate.empty() || text.find(sqlstate) != std::string_view::npos,
                "it is part of the message");

  // The first line is taken for the password.
  const std::string_view password = text.substr(0, text.find('\n'));
  const std::string quoted = postgres::quoted(text, password);
  fuzz::require(is_utf8(quoted), "what is quoted can be printed");
  fuzz::require(quoted.find('\n') == std::string::npos, "it is one line");
  fuzz::require(display_width(quoted) <= 300, "it is short");
  // A password of plain characters that the mask itself does not hold is gone.
  bool plain = password.size() > 1;
  for (const char c : password) plain = plain && c > ' ' && c < 0x7f && c != '*' && c != '\\';
  if (plain) {
    fuzz::require(quoted.find(password) == std::string::npos, "a password is not quoted");
  }

  const Error error = postgres::make_error(
      {.sqlstate = std::string(sqlstate), .message = quoted, .detail = {}}, "here", "testing");
  fuzz::require(!error.message.empty(), "every error has a message");
  return 0;
}
