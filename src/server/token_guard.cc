#include "server/token_guard.h"

#include <utility>

namespace sluice::server {

Guard token_guard(std::shared_ptr<const Tokens> tokens) {
  if (tokens == nullptr) return {};
  return [tokens = std::move(tokens)](Call& call) -> std::optional<Response> {
    const auto found = tokens->find(Tokens::credentials(call.request));
    if (found) {
      call.caller = (*found)->name;
      return std::nullopt;
    }
    Response refused = problem_json().of(
        http::Refusal{401, "This needs a token: send it as Authorization: Bearer TOKEN."});
    refused.headers.emplace_back("WWW-Authenticate", "Bearer");
    return refused;
  };
}

}  // namespace sluice::server
