#include "store/cloudflare/cloudflare.h"

#include <algorithm>
#include <cctype>

#include "store/budget.h"
#include "store/cloudflare/account.h"
#include "store/cloudflare/kv_backend.h"

namespace sluice::store {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view cloudflares_own = "https://api.cloudflare.com/client/v4";

// A token that was read from a file often brings the line's end with it.
std::string trimmed(std::string text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

bool is_printable_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

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

Result<Opened> open_cloudflare(std::string_view account, const Environment& environment) {
  std::string id = trimmed(account.empty() ? environment.setting("CLOUDFLARE_ACCOUNT_ID")
                                           : std::string(account));
  if (id.empty()) {
    return fail(ErrorCode::invalid_argument,
                "No Cloudflare account is named. Set CLOUDFLARE_ACCOUNT_ID, or give the store as "
                "cloudflare://ACCOUNT_ID.");
  }
  if (!is_printable_ascii(id)) {
    return fail(ErrorCode::invalid_argument,
                "The Cloudflare account id holds a space or a character that no id has. Its id is "
                "shown in the dashboard, and is 32 hexadecimal digits.");
  }
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

  auto connection = std::make_shared<cloudflare::Account>(
      environment, std::move(id), std::move(client), std::move(session), gate);
  std::string description = "Cloudflare account " + connection->id();
  if (!is_cloudflare) description += " at " + authority;
  Opened opened;
  opened.wire_stats = [connection] { return connection->wire_stats(); };
  opened.backend = std::make_unique<cloudflare::KvBackend>(connection, std::move(description));
  return opened;
}

}  // namespace sluice::store
