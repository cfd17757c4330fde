// Connection: Cloudflare's API, reached with one set of credentials.
#pragma once

#include <cstddef>
#include <memory>
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

// What all who speak to Cloudflare with the same credentials share, whatever they ask for: one pool
// of connections, one gate, one retry policy, and the knowledge of what its refusals mean.
class Connection {
 public:
  // `address` is the host and port, for messages, when it is not Cloudflare's own.
  Connection(const Environment& environment, std::string address, std::string identity,
             http::Client::Options client_options, http::Session::Options session_options,
             flow::Gate::Options gate_options);

  // Reads credentials and address from the settings; see open_cloudflare (cloudflare.h) for which,
  // and for the errors. Does not touch the network.
  static Result<std::shared_ptr<Connection>> open(const Environment& environment);

  [[nodiscard]] http::Session& session() { return session_; }
  [[nodiscard]] AnswerParser& parser() { return parser_; }
  [[nodiscard]] io::Executor executor() const { return executor_; }
  // The most requests that can be in flight.
  [[nodiscard]] std::size_t concurrency() const { return concurrency_; }
  [[nodiscard]] WireStats wire_stats() const;
  // Empty: it is Cloudflare's own, where Cloudflare's documented budgets hold.
  [[nodiscard]] const std::string& address() const { return address_; }

  // A digest of the address and the credentials (answer_cache.h).
  [[nodiscard]] const std::string& identity() const { return identity_; }

  // Whether the service is one of ours that has said that its listings can seek (seeking.h).
  // Learned from the answers that tell of namespaces.
  [[nodiscard]] bool can_seek() const { return can_seek_; }
  void learn_from(const http::Response& response);

  // Nothing, if an answer is a proven success: a status of 2xx, an envelope that was understood and
  // says so. Else the error that it means. `doing` completes "while …", `permission` "may …", which
  // a refusal of the credentials advises to check.
  [[nodiscard]] std::optional<Error> refusal(
      const http::Response& response, const Result<Envelope>& envelope, std::string_view doing,
      std::string_view permission = "read and edit Workers KV Storage of this account") const;

 private:
  io::Executor executor_;
  std::string address_;
  std::string identity_;
  std::size_t concurrency_;
  http::Client client_;
  flow::Gate gate_;
  flow::Retrier retrier_;
  http::Session session_;
  AnswerParser parser_;
  bool can_seek_ = false;
};

// Without the white space around it: a token that was read from a file often brings the line's end
// with it.
[[nodiscard]] std::string trimmed(std::string text);
// Nothing but printable ASCII, and no space.
[[nodiscard]] bool is_printable_ascii(std::string_view text);

// Whether Cloudflare's error code alone says what has happened, so that the rest of the answer
// (keys that were not written) need not be looked at.
[[nodiscard]] bool is_known(int code);

}  // namespace sluice::store::cloudflare
