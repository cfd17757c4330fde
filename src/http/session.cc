#include "http/session.h"

#include <algorithm>

#include "base/utf8.h"

namespace sluice::http {

namespace {

constexpr std::size_t most_quoted = 200;

// The path without the values of its query, which may be secrets.
std::string loggable(std::string_view url, std::string_view base) {
  if (url.starts_with(base)) url.remove_prefix(base.size());
  std::string text(url.substr(0, url.find('?')));
  if (const auto query = url.find('?'); query != std::string_view::npos) {
    bool in_value = false;
    for (const char c : url.substr(query)) {
      if (c == '&') in_value = false;
      if (!in_value) text += c;
      if (c == '=' && !in_value) {
        in_value = true;
        text += "…";
      }
    }
  }
  return text;
}

struct Meaning {
  ErrorCode code;
  Retry retry;
  std::string_view advice;
};

Meaning meaning_of(int status) {
  switch (status) {
    case 401:
    case 403:
      return {ErrorCode::unauthorized, Retry::fatal,
              "Check the credentials and what they are allowed to do."};
    case 404:
    case 410:
      return {ErrorCode::not_found, Retry::never, "Check the names and ids that were given."};
    case 408:
    case 504:
    case 524:
      return {ErrorCode::timeout, Retry::again, "A smaller batch may help."};
    case 409:
      return {ErrorCode::conflict, Retry::never, "Somebody else has changed or holds it."};
    case 413:
      return {ErrorCode::too_large, Retry::smaller, "A smaller batch may help."};
    case 420:
    case 429:
      return {ErrorCode::throttled, Retry::again, "Try again later, or slow down with --rate."};
    case 501:
    case 505:
      return {ErrorCode::unsupported, Retry::never, "This service cannot do that."};
    default:
      break;
  }
  if (status >= 500) return {ErrorCode::unavailable, Retry::again, "Try again later."};
  if (status >= 400)
    return {ErrorCode::invalid_argument, Retry::never, "It will not take this as it is."};
  return {ErrorCode::protocol, Retry::never,
          "That is not an answer of this service; check its address."};
}

bool is_markup(const Response& response) {
  const auto type = response.headers.find("content-type");
  if (type && type->find("html") != std::string_view::npos) return true;
  const auto first = response.body.find_first_not_of(" \t\r\n");
  return first != std::string::npos && response.body[first] == '<';
}

}  // namespace

void refine(Error& error, const Request& request, bool surely_not_done) {
  if (error.code == ErrorCode::timeout && error.retry == Retry::again && request.divisible) {
    error.retry = Retry::smaller;
  }
  if (error.retry == Retry::smaller && !request.divisible) error.retry = Retry::never;
  const bool repeats = error.retry == Retry::again || error.retry == Retry::smaller;
  // A stop that was abandoned: see Client::send.
  const bool cut = error.code == ErrorCode::deadline || error.code == ErrorCode::interrupted;
  if ((repeats || cut) && !request.idempotent && !surely_not_done) {
    error.retry = Retry::never;
    error.message += " It is not known whether it was carried out; look before you repeat it.";
  }
}

std::string Session::quote(std::string_view text) const {
  std::string one_line(text.substr(0, 4 * most_quoted));
  for (const SecretHeader& header : options_.credentials) {
    std::string_view secret = header.value.reveal();
    // "Bearer TOKEN": the token alone is the secret.
    if (const auto space = secret.rfind(' '); space != std::string_view::npos) {
      secret.remove_prefix(space + 1);
    }
    if (secret.empty()) continue;
    for (auto at = one_line.find(secret); at != std::string::npos; at = one_line.find(secret, at)) {
      one_line.replace(at, secret.size(), "***");
    }
  }
  std::ranges::replace_if(
      one_line, [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  const auto first = one_line.find_first_not_of(' ');
  if (first == std::string::npos) return {};
  one_line = one_line.substr(first, one_line.find_last_not_of(' ') - first + 1);
  return truncated_to_width(printable(one_line), most_quoted);
}

Error Session::status_error(const Response& response, std::string_view doing,
                            std::string_view detail) const {
  const Meaning meaning = meaning_of(response.status);
  std::string said = quote(detail.empty() && !is_markup(response) ? response.body : detail);
  if (!said.empty()) said = fmt::format(": \"{}\"", said);
  return Error{meaning.code, meaning.retry, std::nullopt,
               fmt::format("{} answered {} while {}{}. {}", options_.service,
                           status_text(response.status), doing, said, meaning.advice)};
}

void Session::complete(Request& request) const {
  request.url = options_.base_url + request.url;
  for (const SecretHeader& header : options_.credentials) {
    request.headers.add(header.name, header.value.reveal());
  }
}

flow::RequestKind kind_of(const Request& request) {
  std::string_view route = request.route;
  if (route.empty()) route = std::string_view(request.url).substr(0, request.url.find('?'));
  return flow::request_kind(request.method, 0) ^ flow::request_kind(route, request.body.size());
}

io::Task<Result<Session::Exchange>> Session::send(const Request& request, int& sendings,
                                                  flow::Fare fare) {
  // Once more, and at once, when a kept-alive connection had been closed: servers close idle ones
  // at any moment. Again through the gate, since the server may count it. A second time it is a
  // failure like any other.
  for (bool repeated = false;; repeated = true) {
    Result<flow::Gate::Pass> pass = co_await gate_.enter(kind_of(request), fare);
    if (!pass) co_return std::unexpected(std::move(pass.error()));
    const auto begun = io::Clock::now();
    std::expected<Response, Failure> response = co_await client_.send(request);
    ++sendings;
    if (log_.enabled(LogLevel::debug)) {
      const auto took =
          std::chrono::duration_cast<std::chrono::milliseconds>(io::Clock::now() - begun);
      const std::int64_t milliseconds = took.count();
      const std::string path = loggable(request.url, options_.base_url);
      const std::string ending =
          response ? fmt::to_string(response->status) : response.error().error.message;
      const std::size_t received = response ? response->body.size() : 0;
      const std::size_t sent = request.body.size();
      log_.debug("{} {} {} → {} in {} ms, {} bytes sent, {} received", options_.service,
                 request.method, path, ending, milliseconds, sent, received);
    }
    if (response) {
      response->sending = sendings;
      co_return Exchange{std::move(*pass), std::move(*response)};
    }

    Failure& failure = response.error();
    const bool stale = failure.fate == RequestFate::stale;
    if (stale && !repeated && request.idempotent) {
      pass->finish(flow::Outcome::other);
      continue;
    }
    pass->finish(failure.fate == RequestFate::not_sent ? flow::Outcome::unsent
                                                       : flow::outcome_of(&failure.error));
    refine(failure.error, request, failure.fate == RequestFate::not_sent);
    co_return std::unexpected(std::move(failure.error));
  }
}

void Session::conclude(const Request& request, Exchange& exchange, Error* error) const {
  const RateHeaders told =
      read_rate_headers(exchange.response.headers, std::chrono::system_clock::now());
  std::optional<std::chrono::milliseconds> retry_after;
  if (error != nullptr) {
    retry_after = error->retry_after ? error->retry_after : told.retry_after;
    if (error->code == ErrorCode::throttled && !retry_after) {
      retry_after = told.hint.reset_after ? told.hint.reset_after : options_.pause_when_throttled;
    }
    if (error->retry == Retry::again || error->retry == Retry::smaller) {
      error->retry_after = retry_after;
    }
    refine(*error, request, error->code == ErrorCode::throttled);
  }
  exchange.pass.finish(flow::outcome_of(error), retry_after, told.hint);
}

}  // namespace sluice::http
