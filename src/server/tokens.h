// Tokens: who may do what on a server.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/server_message.h"

namespace sluice::server {

// What the bearer of one token may do. Of the token itself only the hash is known.
struct Token {
  std::string name;  // unique: for the access log, and for limits
  using Hash = std::array<unsigned char, 32>;
  Hash sha256{};
  std::string email;  // not empty: it is a key, which goes with this address in X-Auth-Email
  std::optional<std::vector<std::string>> accounts;    // none: all
  std::optional<std::vector<std::string>> namespaces;  // by title or id; none: all
  bool may_write = false;                              // and read in any case

  [[nodiscard]] bool allows_account(std::string_view account) const;
  // Whether one of the names that a namespace has (its title, its ids) is among those allowed.
  [[nodiscard]] bool allows_namespace(std::initializer_list<std::string_view> names) const;
};

// All tokens of a server. Does not change; may be used by all loops at once.
class Tokens {
 public:
  // Reads TOML:
  //
  //   [[token]]
  //   name = "ci"
  //   sha256 = "…"                  # of the token: printf %s "$TOKEN" | sha256sum
  //   access = "read"               # or "write", which includes reading
  //   accounts = ["0123…"]          # if not all
  //   namespaces = ["My Namespace"] # by title or id, if not all
  //   email = "ci@example.com"      # if it is a key for X-Auth-Key
  //
  // `file` is how messages call it; they name the line, and never quote a hash. Refused are unknown
  // keys (with the nearest known one), a name or hash that is there twice, and a file without
  // tokens.
  // `tables`: what the tables are called, if not "token".
  static Result<Tokens> parse(std::string_view toml, std::string_view file,
                              std::string_view tables = "token");

  // The same from the file at `path`, which must be a regular file that only its owner can write
  // and others (than owner and group) cannot read.
  static Result<Tokens> read(const std::string& path);

  // What a request shows of its sender; absent headers are absent.
  struct Credentials {
    std::optional<std::string_view> authorization;  // "Bearer …"
    std::optional<std::string_view> email;          // X-Auth-Email
    std::optional<std::string_view> key;            // X-Auth-Key
  };
  [[nodiscard]] static Credentials credentials(const http::ServerRequest& request);
  enum class Problem : std::uint8_t {
    none,           // no credentials were sent
    malformed,      // they are not of a form that is understood
    unknown_token,  // they are nobody's
    unknown_key,
  };
  // Whose credentials these are; the pointer is good for as long as this object. Compares with
  // every token, in a time that does not depend on which of them match, or how far.
  [[nodiscard]] std::expected<const Token*, Problem> find(const Credentials& credentials) const;

  // nullptr: nobody is called that.
  [[nodiscard]] const Token* by_name(std::string_view name) const;
  [[nodiscard]] const std::vector<Token>& all() const { return tokens_; }

 private:
  std::vector<Token> tokens_;
};

}  // namespace sluice::server
