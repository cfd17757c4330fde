#include "base/uri.h"

#include <algorithm>
#include <boost/url/authority_view.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>

#include "base/ascii.h"
#include "base/percent.h"

namespace sluice {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_scheme(std::string_view text) {
  return !text.empty() && is_letter(text[0]) && std::ranges::all_of(text, [](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = ascii_lower(c);
  return out;
}

Result<StoreUrl::Host> parse_host(std::string_view text, std::string_view scheme) {
  const auto authority = boost::urls::parse_authority({text.data(), text.size()});
  if (!authority || authority->has_userinfo()) {
    // Not quoted: it may be what there is of a password.
    return fail(ErrorCode::invalid_argument,
                "What stands in the place of the host in the {}: URL is none; write HOST or "
                "HOST:PORT, and in a password / as %2F, ? as %3F, # as %23.",
                scheme);
  }
  StoreUrl::Host host{authority->host_name(), std::nullopt};
  if (host.name.empty()) host.name = authority->host_address();
  if (host.name.empty()) {
    return fail(ErrorCode::invalid_argument, "The {}: URL has a host without a name.", scheme);
  }
  if (authority->has_port() && !authority->port().empty()) {
    // Boost.URL 1.81 checks that these are digits, not that they fit: its port_number() wraps
    // round.
    const std::string digits = authority->port();
    std::uint16_t port = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (parsed.ec != std::errc{} || port == 0) {
      return fail(ErrorCode::invalid_argument, "The {}: URL has a port that is not in 1..65535.",
                  scheme);
    }
    host.port = port;
  }
  return host;
}

bool may_be_secret(std::string_view parameter) {
  const std::string name = lower(parameter);
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{"pass", "secret", "token", "key", "auth"},
      [&](std::string_view word) { return name.find(word) != std::string::npos; });
}

}  // namespace

Result<StoreUrl> StoreUrl::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || !is_scheme(text.substr(0, colon))) {
    return fail(ErrorCode::invalid_argument,
                "The store's address has no scheme; write one like sqlite:/path.db or "
                "redis://host:6379.");
  }
  StoreUrl url;
  url.scheme = lower(text.substr(0, colon));
  std::string_view rest = text.substr(colon + 1);
  if (!rest.starts_with("//")) {
    url.path = rest;
    return url;
  }
  rest.remove_prefix(2);
  std::string_view authority = rest.substr(0, std::min(rest.find_first_of("/?#"), rest.size()));
  const std::string_view tail = rest.substr(authority.size());

  // A password may hold an "@" that nobody encoded; a host cannot.
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    const std::string_view credentials = authority.substr(0, at);
    const std::size_t split = std::min(credentials.find(':'), credentials.size());
    Result<std::string> user = percent_decode(credentials.substr(0, split));
    Result<std::string> password =
        percent_decode(credentials.substr(std::min(split + 1, credentials.size())));
    if (!user || !password) {
      return fail(ErrorCode::invalid_argument,
                  "The user or password in the {}: URL has a \"%\" that is not followed by two "
                  "hexadecimal digits; write a percent sign itself as %25.",
                  url.scheme);
    }
    url.user = std::move(*user);
    url.password = Secret(std::move(*password));
    authority.remove_prefix(at + 1);
  }
  while (!authority.empty()) {
    const std::size_t comma = std::min(authority.find(','), authority.size());
    Result<Host> host = parse_host(authority.substr(0, comma), url.scheme);
    if (!host) return std::unexpected(std::move(host.error()));
    url.hosts.push_back(std::move(*host));
    if (comma == authority.size()) break;
    authority.remove_prefix(comma + 1);
    if (authority.empty()) {
      return fail(ErrorCode::invalid_argument, "The list of hosts in the {}: URL ends in a comma.",
                  url.scheme);
    }
  }
  if (tail.empty()) return url;

  const std::string with_scheme = url.scheme + "://h" + std::string(tail);
  const auto parsed = boost::urls::parse_uri(with_scheme);
  if (!parsed) {
    return fail(ErrorCode::invalid_argument,
                "What follows the host in the {}: URL is not a valid path or query; percent-encode "
                "spaces and special characters.",
                url.scheme);
  }
  if (parsed->has_fragment()) {
    return fail(ErrorCode::invalid_argument,
                "The {}: URL has a \"#\" part, which means nothing here; write a # itself as %23.",
                url.scheme);
  }
  url.path = parsed->path();
  for (const auto& parameter : parsed->params()) {
    url.query.emplace_back(parameter.key, parameter.value);
  }
  return url;
}

std::string StoreUrl::redacted() const {
  std::string out = scheme + ":";
  if (!hosts.empty() || !user.empty() || !password.empty()) {
    out += "//";
    out += user;
    if (!password.empty()) out += ":***";
    if (!user.empty() || !password.empty()) out += '@';
    for (std::size_t i = 0; i < hosts.size(); ++i) {
      if (i != 0) out += ',';
      const bool bracketed = hosts[i].name.find(':') != std::string::npos;
      out += bracketed ? "[" + hosts[i].name + "]" : hosts[i].name;
      if (hosts[i].port) out += fmt::format(":{}", *hosts[i].port);
    }
  }
  out += path;
  for (std::size_t i = 0; i < query.size(); ++i) {
    out += i == 0 ? '?' : '&';
    out += query[i].first;
    out += '=';
    out += may_be_secret(query[i].first) ? "***" : query[i].second;
  }
  return out;
}

std::string without_password(std::string_view url) {
  const Result<StoreUrl> parsed = StoreUrl::parse(url);
  if (parsed) {
    const bool secret_parameter = std::ranges::any_of(
        parsed->query, [](const auto& parameter) { return may_be_secret(parameter.first); });
    if (secret_parameter) return parsed->redacted();
    const bool names_a_file = parsed->scheme == "sqlite";
    if (parsed->password.empty() && (names_a_file || parsed->path.find('@') == std::string::npos)) {
      return std::string(url);
    }
    // Slashes were forgotten, or stand in the password.
    if (parsed->password.empty()) return parsed->scheme + ":***";
    // The rest stays as it is written, so that it can be parsed again.
    const std::size_t begin = url.find("//") + 2;
    const std::string_view rest = url.substr(begin);
    const std::size_t at = rest.substr(0, rest.find_first_of("/?#")).rfind('@');
    const std::size_t colon = rest.find(':');
    return fmt::format("{}{}:***{}", url.substr(0, begin), rest.substr(0, colon), rest.substr(at));
  }
  // With a colon behind the slashes there may be a password, and be it one whose host was
  // forgotten.
  const std::size_t slashes = url.find("://");
  const bool colon =
      slashes != std::string_view::npos && url.find(':', slashes + 3) != std::string_view::npos;
  if (!colon && url.find('@') == std::string_view::npos) return std::string(url);
  return std::string(url.substr(0, url.find(':'))) + ":***";
}

std::optional<std::string_view> StoreUrl::parameter(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

}  // namespace sluice
