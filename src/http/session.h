// Session: one web service, reached with one set of credentials.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/secret.h"
#include "flow/attempt.h"
#include "flow/gate.h"
#include "http/client.h"
#include "http/message.h"
#include "http/rate_headers.h"
#include "telemetry/log.h"

namespace sluice::http {

// Sends requests to one service: adds its base URL and credentials, passes the gate, repeats what
// failed for a while, tells the gate what the answers say about budgets.
//
// What an answer means is decided by a *judge*, a function `Result<T>(Response&)`, since some
// services hide a failure in an answer of status 200. For answers that are failures by their
// status, it returns status_error(). The session then refines the judge's error by what it knows of
// the request:
//  - a time-out of a divisible request becomes Retry::smaller;
//  - Retry::smaller becomes Retry::never for a request that cannot be split;
//  - a request that is not idempotent is not repeated, unless it was provably not carried out
//    (it was throttled, or never left).
// Belongs to one loop.
class Session {
 public:
  struct SecretHeader {
    std::string name;
    Secret value;
  };
  struct Options {
    std::string service;   // for messages: "Cloudflare"
    std::string base_url;  // without a final slash
    std::vector<SecretHeader> credentials{};
    // Waited after a "too many requests" that does not say how long.
    std::optional<std::chrono::milliseconds> pause_when_throttled{};
  };

  // What is referred to must outlive the session.
  Session(Client& client, flow::Gate& gate, flow::Retrier& retrier, Log& log, Options options)
      : client_(client), gate_(gate), retrier_(retrier), log_(log), options_(std::move(options)) {}

  // Sends `request` (its url is relative to the base URL) until `judge` accepts an answer, and
  // returns what it made of it, or the last error. The judge is called once for each answer; what
  // it refers to must stay valid until the task has ended. Each sending costs the `fare`.
  template <class Judge>
  io::Task<std::invoke_result_t<Judge&, Response&>> call(Request request, Judge judge,
                                                         flow::Fare fare = {}) {
    using Answer = std::invoke_result_t<Judge&, Response&>;
    complete(request);
    int sendings = 0;
    auto once = [this, &request, &judge, &sendings, fare]() -> io::Task<Answer> {
      Result<Exchange> exchange = co_await send(request, sendings, fare);
      if (!exchange) co_return std::unexpected(std::move(exchange.error()));
      Answer answer = judge(exchange->response);
      conclude(request, *exchange, answer ? nullptr : &answer.error());
      co_return answer;
    };
    co_return co_await flow::attempt(retrier_, once);
  }

  // The error that an answer of this status is, with a retry class. `doing` completes "while …":
  // "listing the keys of namespace X". Quotes `detail`, or the body if there is none and it is
  // short text.
  [[nodiscard]] Error status_error(const Response& response, std::string_view doing,
                                   std::string_view detail = {}) const;

  // `text` made fit to be quoted in a message: one line of at most 200 printable characters,
  // without markup and without the credentials.
  [[nodiscard]] std::string quote(std::string_view text) const;

  [[nodiscard]] const std::string& service() const { return options_.service; }

 private:
  // A request that has been answered and still holds its place in the gate.
  struct Exchange {
    flow::Gate::Pass pass;
    Response response;
  };

  void complete(Request& request) const;
  // Counts in `sendings` how often it has been put on the wire.
  io::Task<Result<Exchange>> send(const Request& request, int& sendings, flow::Fare fare);
  void conclude(const Request& request, Exchange& exchange, Error* error) const;

  Client& client_;
  flow::Gate& gate_;
  flow::Retrier& retrier_;
  Log& log_;
  Options options_;
};

// Pure parts of the policy, for tests.

// Whose times are compared with those of `request`: of the same method, route and size.
[[nodiscard]] flow::RequestKind kind_of(const Request& request);

// Refines the retry class of `error` by the nature of the request, as Session says above.
// `surely_not_done`: it is proven that the request was not carried out.
void refine(Error& error, const Request& request, bool surely_not_done);

}  // namespace sluice::http
