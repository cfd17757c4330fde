#include "store/cloudflare/connection.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <iterator>
#include <random>

#include "store/answer_cache.h"
#include "store/budget.h"
#include "store/cloudflare/seeking.h"

namespace sluice::store::cloudflare {

namespace {

using std::chrono::seconds;

struct Meaning {
  int code;
  ErrorCode error;
  Retry retry;
  std::string_view advice;
};

// Stands for the advice to check the credentials and what they may do.
constexpr std::string_view check_credentials;

// Cloudflare's error codes that mean more than the status of the answer. From its API reference
// and, for 971, from what it answers when the budget is used up.
constexpr Meaning meanings[] = {
    {971, ErrorCode::throttled, Retry::again, "Try again later, or slow down with --rate."},
    {6003, ErrorCode::unauthorized, Retry::fatal, check_credentials},  // invalid request headers
    {6103, ErrorCode::unauthorized, Retry::fatal, check_credentials},  // invalid format of the key
    {6111, ErrorCode::unauthorized, Retry::fatal, check_credentials},  // … of Authorization
    {7003, ErrorCode::not_found, Retry::fatal,
     "Check the ids of the account (CLOUDFLARE_ACCOUNT_ID) and the zone, and the address."},
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

constexpr std::string_view cloudflares_own = "https://api.cloudflare.com/client/v4";

// The part between "://" and the path, in lower case.
std::string authority_of(std::string_view url) {
  url.remove_prefix(std::min(url.find("://") + 3, url.size()));
  std::string host(url.substr(0, url.find_first_of("/?#")));
  std::ranges::transform(host, host.begin(), [](unsigned char c) { return std::tolower(c); });
  return host;
}

Result<std::string> checked_base_url(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  const bool https = url.starts_with("https://");
  if (!https && !url.starts_with("http://")) {
    return fail(ErrorCode::invalid_argument,
                "CLOUDFLARE_API_BASE_URL does not begin with https:// (or http://). Correct it, or "
                "leave it out for Cloudflare's own address.");
  }
  if (!is_printable_ascii(url) || url.find_first_of("?#") != std::string::npos) {
    return fail(
        ErrorCode::invalid_argument,
        "CLOUDFLARE_API_BASE_URL holds a space, a query or a fragment. Give scheme, host and "
        "path only.");
  }
  const std::string authority = authority_of(url);
  if (authority.empty() || authority.find('@') != std::string::npos) {
    return fail(
        ErrorCode::invalid_argument,
        "CLOUDFLARE_API_BASE_URL names no host, or a user. Give scheme, host and path only; "
        "credentials have their own settings.");
  }
  if (!https && !http::is_loopback_url(url)) {
    return fail(ErrorCode::invalid_argument,
                "CLOUDFLARE_API_BASE_URL is http://{}, which would send the credentials readably "
                "over the network. Use https://; http:// is only for this machine.",
                authority);
  }
  return url;
}

Result<std::vector<http::Session::SecretHeader>> credentials(const Environment& environment) {
  std::vector<http::Session::SecretHeader> headers;
  const std::string token = trimmed(environment.setting("CLOUDFLARE_API_TOKEN"));
  if (!token.empty()) {
    headers.push_back({"Authorization", Secret("Bearer " + token)});
  } else {
    const std::string email = trimmed(environment.setting("CLOUDFLARE_EMAIL"));
    const std::string key = trimmed(environment.setting("CLOUDFLARE_API_KEY"));
    if (email.empty() || key.empty()) {
      return fail(ErrorCode::unauthorized, Retry::fatal,
                  "There are no credentials for Cloudflare. Set CLOUDFLARE_API_TOKEN, or "
                  "CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY.");
    }
    headers.push_back({"X-Auth-Email", Secret(email)});
    headers.push_back({"X-Auth-Key", Secret(key)});
  }
  for (const auto& header : headers) {
    const std::string_view value = header.value.reveal();
    if (!is_printable_ascii(value.substr(value.find(' ') + 1))) {
      return fail(ErrorCode::unauthorized, Retry::fatal,
                  "The credentials for Cloudflare ({}) hold a space, a line break or another "
                  "character that no token has. Set them again.",
                  header.name == "Authorization" ? "CLOUDFLARE_API_TOKEN"
                                                 : "CLOUDFLARE_EMAIL, CLOUDFLARE_API_KEY");
    }
  }
  return headers;
}

}  // namespace

std::string trimmed(std::string text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

bool is_printable_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

bool is_known(int code) {
  return find_meaning(code) != nullptr;
}

Connection::Connection(const Environment& environment, std::string address, std::string identity,
                       http::Client::Options client_options, http::Session::Options session_options,
                       flow::Gate::Options gate_options)
    : executor_(environment.executor),
      address_(std::move(address)),
      identity_(std::move(identity)),
      concurrency_(std::max<std::size_t>(1, gate_options.concurrency)),
      client_(environment.executor, std::move(client_options), &environment.stop),
      gate_(environment.executor, environment.stop, gate_options),
      retrier_(environment.stop, environment.retry, std::random_device{}()),
      session_(client_, gate_, retrier_, environment.log, std::move(session_options)) {}

Result<std::shared_ptr<Connection>> Connection::open(const Environment& environment) {
  std::string given_url = trimmed(environment.setting("CLOUDFLARE_API_BASE_URL"));
  Result<std::string> base_url =
      checked_base_url(given_url.empty() ? std::string(cloudflares_own) : std::move(given_url));
  if (!base_url) return std::unexpected(std::move(base_url.error()));
  auto headers = credentials(environment);
  if (!headers) return std::unexpected(std::move(headers.error()));

  const std::string authority = authority_of(*base_url);
  const bool is_cloudflare = authority == "api.cloudflare.com";
  flow::Gate::Options gate = environment.gate;
  http::Session::Options session{
      .service = "Cloudflare", .base_url = *base_url, .credentials = std::move(*headers)};
  if (is_cloudflare) {
    // https://developers.cloudflare.com/fundamentals/api/reference/limits/
    if (!gate.quota && !gate.quota_is_fixed) {
      gate.quota = flow::Quota{.requests = 1200, .window = seconds(300)};
    }
    // Past the budget everything is refused for five minutes: seven pauses of this length (a retry
    // policy of eight attempts) outlast them.
    session.pause_when_throttled = seconds(45);
  }
  std::string joined;
  for (const auto& header : session.credentials) joined.append(header.value.reveal()).append("\n");
  const Secret spender(std::move(joined));
  // Cloudflare counts by user, whatever the account.
  gate.budget = shared_budget(environment, authority, spender.reveal());
  http::Client::Options client{.timeout = environment.request_timeout,
                               .ca_file = environment.setting("SSL_CERT_FILE")};
  client.connect_timeout = std::min(client.connect_timeout, client.timeout);

  std::string address = is_cloudflare ? std::string() : authority;
  const std::array<std::string_view, 2> known_by{*base_url, spender.reveal()};
  return std::make_shared<Connection>(environment, std::move(address), digest(known_by),
                                      std::move(client), std::move(session), gate);
}

WireStats Connection::wire_stats() const {
  return {.gate = gate_.stats(),
          .retries = retrier_.retries,
          .bytes_sent = client_.traffic().bytes_sent,
          .bytes_received = client_.traffic().bytes_received,
          .trouble = retrier_.trouble()};
}

void Connection::learn_from(const http::Response& response) {
  if (response.headers.find(seek_header) == seek_value) can_seek_ = true;
}

std::optional<Error> Connection::refusal(const http::Response& response,
                                         const Result<Envelope>& envelope, std::string_view doing,
                                         std::string_view permission) const {
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
  const std::string advice =
      meaning->error == ErrorCode::unauthorized
          ? fmt::format("Check CLOUDFLARE_API_TOKEN and that it may {}.", permission)
          : std::string(meaning->advice);
  return Error{meaning->error, meaning->retry, std::nullopt,
               fmt::format("{} answered error {} while {}: \"{}\". {}", session_.service(),
                           meaning->code, doing, said, advice)};
}

}  // namespace sluice::store::cloudflare
