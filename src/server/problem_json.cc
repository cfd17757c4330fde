#include <utility>

#include "base/json_text.h"
#include "http/message.h"
#include "server/router.h"

namespace sluice::server {

namespace {

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return 400;
    case ErrorCode::unauthorized:
      return 403;
    case ErrorCode::not_found:
      return 404;
    case ErrorCode::conflict:
      return 409;
    case ErrorCode::too_large:
      return 413;
    case ErrorCode::throttled:
      return 429;
    case ErrorCode::unsupported:
      return 501;
    case ErrorCode::unavailable:
    case ErrorCode::network:
    case ErrorCode::timeout:
      return 503;
    default:
      return 500;
  }
}

class ProblemJson final : public ErrorFace {
 public:
  [[nodiscard]] Response of(const Error& error) const override {
    const int status = status_of(error.code);
    return problem(status, status < 500 ? std::string_view(error.message)
                                        : "The server could not do it. Its log says why.");
  }
  [[nodiscard]] Response of(const http::Refusal& refusal) const override {
    return problem(refusal.status, refusal.sentence);
  }

 private:
  // RFC 9457, section 3: without a type, the title is the status's name.
  static Response problem(int status, std::string_view detail) {
    Response response;
    response.status = status;
    response.content_type = "application/problem+json";
    response.text = R"({"title":)";
    append_json_string(response.text, http::status_name(status));
    response.text += fmt::format(R"(,"status":{},"detail":)", status);
    append_json_string(response.text, detail);
    response.text += '}';
    return response;
  }
};

}  // namespace

const ErrorFace& problem_json() {
  static const ProblemJson face;
  return face;
}

}  // namespace sluice::server
