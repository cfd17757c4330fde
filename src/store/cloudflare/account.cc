#include "store/cloudflare/account.h"

#include <algorithm>
#include <iterator>
#include <random>

#include "base/percent.h"

namespace sluice::store::cloudflare {

namespace {

struct Meaning {
  int code;
  ErrorCode error;
  Retry retry;
  std::string_view advice;
};

constexpr std::string_view check_credentials =
    "Check CLOUDFLARE_API_TOKEN and that it may read and edit Workers KV Storage of this account.";

// Cloudflare's error codes that mean more than the status of the answer. From its API reference
// and, for 971, from what it answers when the budget is used up.
constexpr Meaning meanings[] = {
    {971, ErrorCode::throttled, Retry::again, "Try again later, or slow down with --rate."},
    {6003, ErrorCode::unauthorized, Retry::fatal, check_credentials},  // invalid request headers
    {6103, ErrorCode::unauthorized, Retry::fatal, check_credentials},  // invalid format of the key
    {6111, ErrorCode::unauthorized, Retry::fatal, check_credentials},  // … of Authorization
    {7003, ErrorCode::not_found, Retry::fatal,
     "Check the account id (CLOUDFLARE_ACCOUNT_ID) and the address."},
    {9103, ErrorCode::unauthorized, Retry::fatal, check_credentials},  // unknown key or email
    {9106, ErrorCode::unauthorized, Retry::fatal, check_credentials},  // missing headers
    {9107, ErrorCode::unauthorized, Retry::fatal, check_credentials},
    {9109, ErrorCode::unauthorized, Retry::fatal, check_credentials},   // invalid access token
    {10000, ErrorCode::unauthorized, Retry::fatal, check_credentials},  // authentication error
    {10009, ErrorCode::not_found, Retry::never, "There is no such key."},
    {10012, ErrorCode::too_large, Retry::smaller, "Use a smaller --batch-size."},
    {10013, ErrorCode::not_found, Retry::fatal,
     "There is no such namespace; `sluice kv namespace list` shows those of the account."},
    {10014, ErrorCode::conflict, Retry::never,
     "A namespace has this title already; choose another."},
    {10046, ErrorCode::unavailable, Retry::again, "Another bulk operation runs; try again later."},
};

const Meaning* find_meaning(int code) {
  const auto* const found = std::ranges::find(meanings, code, &Meaning::code);
  return found == std::end(meanings) ? nullptr : found;
}

std::string path_of(std::string_view account) {
  std::string path = "/accounts/";
  append_percent_encoded(path, account);
  return path + "/storage/kv/namespaces";
}

}  // namespace

bool is_known(int code) {
  return find_meaning(code) != nullptr;
}

Account::Account(const Environment& environment, std::string account_id,
                 http::Client::Options client_options, http::Session::Options session_options,
                 flow::Gate::Options gate_options)
    : executor_(environment.executor),
      id_(std::move(account_id)),
      namespaces_path_(path_of(id_)),
      concurrency_(std::max<std::size_t>(1, gate_options.concurrency)),
      client_(environment.executor, std::move(client_options), &environment.stop),
      gate_(environment.executor, environment.stop, gate_options),
      retrier_(environment.stop, environment.retry, std::random_device{}()),
      session_(client_, gate_, retrier_, environment.log, std::move(session_options)) {}

WireStats Account::wire_stats() const {
  return {.gate = gate_.stats(),
          .retries = retrier_.retries,
          .bytes_sent = client_.traffic().bytes_sent,
          .bytes_received = client_.traffic().bytes_received};
}

std::optional<Error> Account::refusal(const http::Response& response,
                                      const Result<Envelope>& envelope,
                                      std::string_view doing) const {
  const bool ok = response.status >= 200 && response.status < 300;
  if (!envelope) {
    if (!ok) return session_.status_error(response, doing);
    return Error{
        ErrorCode::protocol, Retry::again, std::nullopt,
        fmt::format("{}'s answer while {} cannot be understood ({}). Check the address; if "
                    "it is right, try again later.",
                    session_.service(), doing, envelope.error().message)};
  }
  if (ok && envelope->success) return std::nullopt;
  const Meaning* const meaning = find_meaning(envelope->code);
  const std::string said = session_.quote(envelope->message);
  // A gateway that throttles or times out knows better than what it passes on.
  if (meaning == nullptr || response.status == 429 || response.status == 524) {
    if (!ok) return session_.status_error(response, doing, said.empty() ? " " : said);
    return Error{
        ErrorCode::unavailable, Retry::again, std::nullopt,
        fmt::format("{} answered that it failed while {}{}. Try again later.", session_.service(),
                    doing, said.empty() ? std::string() : fmt::format(": \"{}\"", said))};
  }
  return Error{meaning->error, meaning->retry, std::nullopt,
               fmt::format("{} answered error {} while {}: \"{}\". {}", session_.service(),
                           meaning->code, doing, said, meaning->advice)};
}

}  // namespace sluice::store::cloudflare
