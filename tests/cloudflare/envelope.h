// The service's JSON envelope, its error codes, and text forms that the routes share.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "tests/cloudflare/api.h"

namespace sluice::cloudflare_fake {

// Those from 10000 to 10014 and 10046 are the service's; the rest stand for "400" and are not
// relied on.
enum class Code : int {
  throttled = 971,
  bad_purge = 1012,
  no_route = 7003,
  unknown_key = 9103,
  no_credentials = 9106,
  authentication = 10000,
  internal = 10001,
  malformed_value_part = 10008,
  key_not_found = 10009,
  too_many_pairs = 10012,
  namespace_not_found = 10013,
  title_taken = 10014,
  malformed_body = 10016,
  bad_title = 10019,
  bad_cursor = 10022,
  bad_expiration = 10023,
  bad_limit = 10024,
  bad_metadata = 10033,
  bad_key = 10029,
  too_large = 10040,
};

// `result` is JSON text, `info` that of result_info or empty. As the service's own encoder does,
// "success" comes after the result.
[[nodiscard]] Answer succeed(std::string_view result, std::string_view info = {});
[[nodiscard]] Answer refuse(int status, Code code, std::string_view message,
                            std::string_view result = "null");
[[nodiscard]] Answer html_page(int status, std::string_view title);

// Appends `text` as a JSON string with <, > and & escaped, which the service's encoder (Go's) does
// and which a client has to undo.
void append_text(std::string& out, std::string_view text);
// What a decoder to text makes of any bytes: U+FFFD for each maximal part that is not UTF-8 (WHATWG
// Encoding, section 4.1), and no leading U+FEFF if `drop_byte_order_mark`.
[[nodiscard]] std::string as_text(std::string_view bytes, bool drop_byte_order_mark);

// nullopt: a malformed escape.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text,
                                                        bool plus_is_space = false);
[[nodiscard]] std::optional<std::map<std::string, std::string, std::less<>>> parse_query(
    std::string_view text);
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text);

// Why the service refuses this key; empty: it does not.
[[nodiscard]] std::string key_problem(std::string_view key);
// Resolves expiration and expiration_ttl (the latter wins); a problem when they are refused.
[[nodiscard]] std::string expiration_problem(std::optional<std::int64_t> expiration,
                                             std::optional<std::int64_t> ttl, std::int64_t now,
                                             std::int64_t& expires);

}  // namespace sluice::cloudflare_fake
