// StoreUrl: the address of a store, taken apart.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/secret.h"

namespace sluice {

// What --store names: "redis://user:secret@host:6379/2?x=y", "redis-cluster://a:7000,b:7001",
// "cloudflare://ACCOUNT", "sqlite:/path.db", "memory:". A value, without any knowledge of which
// schemes exist.
//
// With "//", the text is a URL as in RFC 3986, except that several hosts may stand there, parted by
// commas; its parts are percent-decoded. Without "//", all that follows the scheme is `path`, byte
// for byte: a file's name needs no encoding.
struct StoreUrl {
  struct Host {
    std::string name;  // without the brackets of an IPv6 address
    std::optional<std::uint16_t> port;
    friend bool operator==(const Host&, const Host&) = default;
  };

  std::string scheme;  // in lower case
  std::string user;
  Secret password;
  std::vector<Host> hosts;
  std::string path;  // with its leading "/", if there is one
  std::vector<std::pair<std::string, std::string>> query;

  // Fails with invalid_argument, in a message that never repeats the password.
  static Result<StoreUrl> parse(std::string_view text);

  // For people: the URL with "***" for the password and for the values of query parameters that may
  // hold one (those whose names say password, secret, token or key). Not parsed again.
  [[nodiscard]] std::string redacted() const;

  // The value of the first query parameter of this name.
  [[nodiscard]] std::optional<std::string_view> parameter(std::string_view name) const;
};

// `url` as it may be shown and kept: unchanged if it holds no secret; with "***" for the password;
// or redacted, if a parameter may be a secret, too. A text that cannot be parsed and has an "@" is
// shown as its scheme only, since what stands before it may be a password.
[[nodiscard]] std::string without_password(std::string_view url);

}  // namespace sluice
