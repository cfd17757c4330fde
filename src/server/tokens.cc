#include "server/tokens.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

// The library is told here, and only here, to answer errors instead of throwing them.
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>

#include "base/ascii.h"
#include "base/descriptor.h"
#include "base/text_distance.h"
#include "base/utf8.h"

namespace sluice::server {

namespace {

// A file of tokens is small; what is larger is another file.
constexpr std::size_t kMostBytes = std::size_t{4} << 20;

constexpr std::string_view kKeys[] = {"name",       "sha256", "access",
                                      "namespaces", "email",  "accounts"};

constexpr std::string_view kBearer = "bearer ";

// A place in the file, as messages begin: "tokens.toml:3".
struct Place {
  std::string_view file;
  toml::source_index line;

  template <class... Args>
  std::unexpected<Error> bad(fmt::format_string<Args...> format, Args&&... args) const {
    return fail(ErrorCode::invalid_argument, "{}:{}: {}", file, line,
                fmt::format(format, std::forward<Args>(args)...));
  }
};

Place place_of(std::string_view file, const toml::node& node) {
  return {file, node.source().begin.line};
}

bool read_hash(std::string_view text, Token::Hash& hash) {
  if (text.size() != 2 * hash.size()) return false;
  for (std::size_t i = 0; i < hash.size(); ++i) {
    const int high = hex_value(text[2 * i]);
    const int low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    hash[i] = static_cast<unsigned char>(high << 4 | low);
  }
  return true;
}

Result<std::vector<std::string>> read_list(const toml::node& node, std::string_view key,
                                           Place place) {
  const toml::array* array = node.as_array();
  std::vector<std::string> list;
  const auto malformed = [&] {
    return place.bad("\"{}\" must be a list of texts, [\"…\", \"…\"].", key);
  };
  if (array == nullptr) return malformed();
  for (const toml::node& item : *array) {
    const auto* text = item.as_string();
    if (text == nullptr || text->get().empty()) return malformed();
    list.push_back(text->get());
  }
  if (list.empty()) return place.bad("\"{}\" names none; leave it out to allow all.", key);
  return list;
}

Result<Token> read_token(const toml::table& table, std::string_view file) {
  Token token;
  bool has_hash = false;
  bool has_access = false;
  for (const auto& [name, node] : table) {
    const std::string_view key = name.str();
    const Place place = place_of(file, node);
    if (std::ranges::find(kKeys, key) == std::end(kKeys)) {
      return place.bad("there is no setting \"{}\" of a token.{}", printable(key),
                       did_you_mean(key, kKeys));
    }
    if (key == "accounts" || key == "namespaces") {
      auto list = read_list(node, key, place);
      if (!list) return std::unexpected(std::move(list.error()));
      (key == "accounts" ? token.accounts : token.namespaces) = std::move(*list);
      continue;
    }
    const auto* text = node.as_string();
    if (text == nullptr || text->get().empty()) {
      return place.bad("\"{}\" must be a text in quotes.", key);
    }
    if (key == "name") {
      token.name = text->get();
    } else if (key == "email") {
      token.email = text->get();
    } else if (key == "sha256") {
      has_hash = read_hash(text->get(), token.sha256);
      if (!has_hash) {
        return place.bad(
            "\"sha256\" must be the SHA-256 of the token, 64 hexadecimal digits; printf %s "
            "\"$TOKEN\" | sha256sum prints it.");
      }
    } else {
      has_access = true;
      token.may_write = text->get() == "write";
      if (!token.may_write && text->get() != "read") {
        return place.bad("\"access\" must be \"read\" or \"write\".");
      }
    }
  }
  const Place place = place_of(file, table);
  if (token.name.empty()) return place.bad("this token has no \"name\".");
  if (!has_hash) return place.bad("the token \"{}\" has no \"sha256\".", printable(token.name));
  if (!has_access) {
    return place.bad("the token \"{}\" has no \"access\"; write \"read\" or \"write\".",
                     printable(token.name));
  }
  return token;
}

bool starts_with_bearer(std::string_view text) {
  return text.size() > kBearer.size() && same_but_for_case(text.substr(0, kBearer.size()), kBearer);
}

}  // namespace

bool Token::allows_account(std::string_view account) const {
  return !accounts || std::ranges::find(*accounts, account) != accounts->end();
}

bool Token::allows_namespace(std::initializer_list<std::string_view> names) const {
  return !namespaces || std::ranges::any_of(names, [&](std::string_view each) {
    return std::ranges::find(*namespaces, each) != namespaces->end();
  });
}

Result<Tokens> Tokens::parse(std::string_view toml_text, std::string_view file,
                             std::string_view tables) {
  const toml::parse_result parsed = toml::parse(toml_text);
  if (!parsed) {
    const toml::source_position at = parsed.error().source().begin;
    return Place{file, at.line}.bad(
        "the file is not valid TOML here (column {}). A token is written as [[token]] and, below "
        "it, name = \"…\", sha256 = \"…\" and access = \"read\".",
        at.column);
  }
  Tokens tokens;
  for (const auto& [name, node] : parsed.table()) {
    const std::string_view known[] = {tables};
    const Place place = place_of(file, node);
    if (name.str() != tables) {
      return place.bad("there is no setting \"{}\" in a file of tokens.{}", printable(name.str()),
                       did_you_mean(name.str(), known));
    }
    const toml::array* array = node.as_array();
    if (array == nullptr || array->empty() || !array->is_homogeneous<toml::table>()) {
      return place.bad("a token begins with [[{}]], in two pairs of brackets.", tables);
    }
    for (const toml::node& item : *array) {
      auto token = read_token(*item.as_table(), file);
      if (!token) return std::unexpected(std::move(token.error()));
      for (const Token& other : tokens.tokens_) {
        if (other.name == token->name) {
          return place_of(file, item)
              .bad("there are two tokens \"{}\". Give each its own name.", printable(token->name));
        }
        if (other.sha256 == token->sha256 && other.email == token->email) {
          return place_of(file, item)
              .bad("the tokens \"{}\" and \"{}\" have the same sha256.", printable(other.name),
                   printable(token->name));
        }
      }
      tokens.tokens_.push_back(std::move(*token));
    }
  }
  if (tokens.tokens_.empty()) {
    return fail(ErrorCode::invalid_argument,
                "{} holds no token, so nobody could use the server. Add one that begins with "
                "[[token]].",
                file);
  }
  return tokens;
}

Result<Tokens> Tokens::read(const std::string& path) {
  const std::string what = fmt::format("cannot read the file of tokens {}", path);
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0) {
    return std::unexpected(system_error(errno, what));
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::invalid_argument, "{}: it is not a regular file.", what);
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(ErrorCode::invalid_argument,
                "{}: others than its owner can write it, and let in whom they like. Run: chmod 600 "
                "{}",
                what, path);
  }
  if ((status.st_mode & S_IROTH) != 0) {
    return fail(ErrorCode::invalid_argument, "{}: everybody can read it. Run: chmod 600 {}", what,
                path);
  }
  std::string text;
  char buffer[16 * 1024];
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(system_error(errno, what));
    if (got == 0) return parse(text, path);
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > kMostBytes) {
      return fail(ErrorCode::invalid_argument, "{}: it is larger than {} bytes.", what, kMostBytes);
    }
  }
}

Tokens::Credentials Tokens::credentials(const http::ServerRequest& request) {
  return {.authorization = request.find("authorization"),
          .email = request.find("x-auth-email"),
          .key = request.find("x-auth-key")};
}

std::expected<const Token*, Tokens::Problem> Tokens::find(const Credentials& credentials) const {
  std::string_view secret;
  std::string_view email;
  if (credentials.authorization) {
    if (!starts_with_bearer(*credentials.authorization)) return std::unexpected(Problem::malformed);
    secret = credentials.authorization->substr(kBearer.size());
  } else if (credentials.key && credentials.email) {
    secret = *credentials.key;
    email = *credentials.email;
    if (secret.empty() || email.empty()) return std::unexpected(Problem::malformed);
  } else if (credentials.key || credentials.email) {
    return std::unexpected(Problem::malformed);
  } else {
    return std::unexpected(Problem::none);
  }
  Token::Hash hash;
  SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), hash.data());
  const Token* found = nullptr;
  for (const Token& token : tokens_) {
    // Which addresses there are is no secret; the hash is compared in any case.
    const bool same_hash = CRYPTO_memcmp(token.sha256.data(), hash.data(), hash.size()) == 0;
    const bool same_email = token.email == email;
    if (same_hash && same_email) found = &token;
  }
  if (found == nullptr) {
    return std::unexpected(email.empty() ? Problem::unknown_token : Problem::unknown_key);
  }
  return found;
}

const Token* Tokens::by_name(std::string_view name) const {
  const auto found = std::ranges::find(tokens_, name, &Token::name);
  return found == tokens_.end() ? nullptr : &*found;
}

}  // namespace sluice::server
