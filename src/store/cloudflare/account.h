// Account: the connection to one Cloudflare account, shared by its backend and its stores.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "flow/attempt.h"
#include "flow/gate.h"
#include "http/client.h"
#include "http/session.h"
#include "store/cloudflare/answer.h"
#include "store/registry.h"

namespace sluice::store::cloudflare {

class Account {
 public:
  Account(const Environment& environment, std::string account_id,
          http::Client::Options client_options, http::Session::Options session_options,
          flow::Gate::Options gate_options);

  // "/accounts/ID/storage/kv/namespaces"
  [[nodiscard]] const std::string& namespaces_path() const { return namespaces_path_; }
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] http::Session& session() { return session_; }
  [[nodiscard]] AnswerParser& parser() { return parser_; }
  [[nodiscard]] io::Executor executor() const { return executor_; }
  [[nodiscard]] io::Stop& stop() { return retrier_.stop; }
  // The most requests that can be in flight.
  [[nodiscard]] std::size_t concurrency() const { return concurrency_; }
  [[nodiscard]] WireStats wire_stats() const;

  // Nothing, if an answer is a proven success: a status of 2xx, an envelope that was understood and
  // says so. Else the error that it means. `doing` completes "while …".
  [[nodiscard]] std::optional<Error> refusal(const http::Response& response,
                                             const Result<Envelope>& envelope,
                                             std::string_view doing) const;

 private:
  io::Executor executor_;
  std::string id_;
  std::string namespaces_path_;
  std::size_t concurrency_;
  http::Client client_;
  flow::Gate gate_;
  flow::Retrier retrier_;
  http::Session session_;
  AnswerParser parser_;
};

// Whether Cloudflare's error code alone says what has happened, so that the rest of the answer
// (keys that were not written) need not be looked at.
[[nodiscard]] bool is_known(int code);

}  // namespace sluice::store::cloudflare
