// Cloudflare's envelope: the JSON around every answer but a value.
#pragma once

#include <string>
#include <string_view>

#include "server/json_writer.h"
#include "server/router.h"

namespace sluice::server::cloudflare {

// The codes in `errors`. Those from 971 to 10014 and 10046 are the service's own and relied on by
// its clients; the others, from 10015 on, tell apart what the service answers 400 or 413 to.
enum class Code : int {
  throttled = 971,
  bad_headers = 6003,
  no_route = 7003,
  unknown_key = 9103,
  no_credentials = 9106,
  unknown_token = 9109,
  not_allowed = 10000,
  internal = 10001,
  key_not_found = 10009,
  too_many = 10012,
  namespace_not_found = 10013,
  title_taken = 10014,
  bad_body = 10016,
  bad_title = 10019,
  bad_cursor = 10022,
  bad_expiration = 10023,
  bad_limit = 10024,
  bad_key = 10029,
  bad_metadata = 10033,
  too_large = 10040,
  busy = 10046,
  bad_method = 10405,
};

// The envelope of a success up to the value of `result`. The caller writes that, and whatever
// members stand behind it (result_info), and ends the object.
void begin_success(JsonWriter& json);

// A successful answer: `write_result(JsonWriter&)` writes the value of `result`, and whatever
// members stand behind it (result_info). `bytes` is how long that will be about, for one
// allocation.
template <class WriteResult>
[[nodiscard]] Response succeed(std::size_t bytes, WriteResult write_result) {
  Response response;
  response.text.reserve(bytes + 64);
  JsonWriter json(response.text);
  begin_success(json);
  write_result(json);
  json.end_object();
  return response;
}

// A failure with one error. `message` is for the client: it names nothing of the inside.
[[nodiscard]] Response refuse(int status, Code code, std::string_view message);

// The refusal of what the caller's token does not allow.
[[nodiscard]] Response not_allowed();

// Everything that fails, in the envelope. What a handler says is in `of(Error)`: not_found is the
// namespace (10013: a missing key is an answer of the handler's own), conflict another operation
// that is under way (10046), throttled 429 with 971. Stateless.
class EnvelopeFace final : public ErrorFace {
 public:
  [[nodiscard]] Response of(const Error& error) const override;
  [[nodiscard]] Response of(const http::Refusal& refusal) const override;
};

}  // namespace sluice::server::cloudflare
