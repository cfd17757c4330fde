#include "server/cloudflare/envelope.h"

#include <algorithm>

namespace sluice::server::cloudflare {

namespace {

// In whole seconds, as the header has them.
void add_retry_after(Response& response, const Error& error) {
  if (!error.retry_after) return;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(*error.retry_after).count();
  response.headers.emplace_back("retry-after", std::to_string(std::max<std::int64_t>(seconds, 1)));
}

Code code_of(int status) {
  switch (status) {
    case 404:
      return Code::no_route;
    case 405:
      return Code::bad_method;
    case 413:
    case 414:
      return Code::too_large;
    case 400:
    case 431:
      return Code::bad_headers;
    default:
      return Code::internal;
  }
}

}  // namespace

void begin_success(JsonWriter& json) {
  json.begin_object();
  json.name("success");
  json.boolean(true);
  json.name("errors");
  json.begin_array();
  json.end_array();
  json.name("messages");
  json.begin_array();
  json.end_array();
  json.name("result");
}

Response refuse(int status, Code code, std::string_view message) {
  Response response;
  response.status = status;
  response.text.reserve(message.size() + 128);
  JsonWriter json(response.text);
  json.begin_object();
  json.name("success");
  json.boolean(false);
  json.name("errors");
  json.begin_array();
  json.begin_object();
  json.name("code");
  json.number(static_cast<int>(code));
  json.name("message");
  json.string(message);
  json.end_object();
  json.end_array();
  json.name("messages");
  json.begin_array();
  json.end_array();
  json.name("result");
  json.null();
  json.end_object();
  return response;
}

Response not_allowed() {
  return refuse(403, Code::not_allowed, "Authentication error");
}

Response EnvelopeFace::of(const Error& error) const {
  switch (error.code) {
    case ErrorCode::not_found:
      return refuse(404, Code::namespace_not_found, "namespace not found");
    case ErrorCode::throttled: {
      Response response =
          refuse(429, Code::throttled, "Please wait and consider throttling your request speed");
      add_retry_after(response, error);
      return response;
    }
    case ErrorCode::unavailable:
    case ErrorCode::network:
    case ErrorCode::timeout:
    case ErrorCode::deadline:
    case ErrorCode::interrupted: {
      Response response =
          refuse(503, Code::internal, "the store cannot be reached at the moment; try again");
      add_retry_after(response, error);
      return response;
    }
    case ErrorCode::conflict:
      return refuse(409, Code::busy, "another operation on this is under way; try again");
    case ErrorCode::invalid_argument:
      return refuse(400, Code::bad_body, error.message);
    case ErrorCode::too_large:
      return refuse(413, Code::too_large, "the request is larger than the store takes");
    case ErrorCode::unsupported:
      return refuse(501, Code::internal, "the store cannot do that");
    default:
      // Credentials of the store's, files, disks: nothing that a client may know or can change.
      return refuse(500, Code::internal, "internal server error");
  }
}

Response EnvelopeFace::of(const http::Refusal& refusal) const {
  return refuse(refusal.status, code_of(refusal.status), refusal.sentence);
}

}  // namespace sluice::server::cloudflare
