#include "store/registry.h"

#include <array>
#include <string>

#include "base/text_distance.h"
#include "base/uri.h"
#include "base/utf8.h"
#if SLUICE_HAS_CLOUDFLARE
#include "store/cloudflare/cloudflare.h"
#endif
#include "store/memory/memory.h"
#include "store/postgres/postgres.h"
#include "store/redis/redis.h"
#include "store/sqlite/sqlite.h"

namespace sluice::store {

namespace {

constexpr std::string_view kKnown =
    "Known are sqlite: (the embedded store), sqlite:/path/to/file.db, cloudflare:, "
    "cloudflare://ACCOUNT, redis://HOST:PORT/DATABASE (rediss:// with TLS), "
    "postgres://USER@HOST/DATABASE and memory:.";

Result<Opened> open_sqlite_url(const StoreUrl& url, const Environment& environment) {
  if (!url.hosts.empty()) {
    return fail(
        ErrorCode::invalid_argument,
        "\"sqlite://{}…\" names a host, but the store is a file. Write sqlite:/path/to/file.db, "
        "with one slash, or sqlite:file.db.",
        url.hosts.front().name);
  }
  if (url.path.starts_with("~")) {
    return fail(ErrorCode::invalid_argument,
                "\"sqlite:{}\": the shell replaces ~ only at the beginning of a word. Write "
                "sqlite:\"$HOME\"/… instead.",
                printable(url.path));
  }
  return open_sqlite(url.path, environment);
}

Result<Opened> open_memory_url(const StoreUrl& url, const Environment& environment) {
  if (!url.hosts.empty() || !url.path.empty()) {
    return fail(ErrorCode::invalid_argument,
                "memory: takes nothing behind the colon: it is empty at each start.");
  }
  return open_memory(environment);
}

#if SLUICE_HAS_CLOUDFLARE
Result<Opened> open_cloudflare_url(const StoreUrl& url, const Environment& environment) {
  const bool plain = url.path.empty() || url.path == "/";
  if (!plain || url.hosts.size() > 1 || !url.user.empty() ||
      (!url.hosts.empty() && url.hosts.front().port)) {
    return fail(ErrorCode::invalid_argument,
                "\"{}\": write cloudflare:, or cloudflare://ACCOUNT with the id of the account.",
                url.redacted());
  }
  return open_cloudflare(url.hosts.empty() ? std::string_view{} : url.hosts.front().name,
                         environment);
}
#endif

// The backends: the one place that knows them all.
struct Scheme {
  std::string_view name;
  Result<Opened> (*open)(const StoreUrl&, const Environment&);
};
constexpr auto kSchemes = std::to_array<Scheme>({
    {"sqlite", open_sqlite_url},
    {"memory", open_memory_url},
    {"postgres", open_postgres},
    {"postgresql", open_postgres},
    {"redis", open_redis},
    {"rediss", open_redis},
#if SLUICE_HAS_CLOUDFLARE
    {"cloudflare", open_cloudflare_url},
#endif
});

// Schemes that are spoken for, but that this version has no backend for.
constexpr auto kLater = std::to_array<std::string_view>({"redis-cluster"});

Error unknown(std::string_view scheme, std::string_view shown) {
  std::vector<std::string_view> names;
  for (const Scheme& known : kSchemes) names.push_back(known.name);
  return Error{ErrorCode::invalid_argument, Retry::never, std::nullopt,
               fmt::format("\"{}\" names no store: there is no kind \"{}\".{} {}", printable(shown),
                           printable(scheme), did_you_mean(scheme, names), kKnown)};
}

}  // namespace

Result<Opened> open_backend(std::string_view url, const Environment& environment) {
  if (url.find(':') == std::string_view::npos) {
    if (url.find('/') != std::string_view::npos || url.ends_with(".db")) {
      return fail(ErrorCode::invalid_argument,
                  "\"{}\" names no store. Did you mean \"sqlite:{}\"? {}", printable(url),
                  printable(url), kKnown);
    }
    return std::unexpected(unknown(url, url));
  }
  auto parsed = StoreUrl::parse(url);
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  for (const Scheme& known : kSchemes) {
    if (known.name == parsed->scheme) return known.open(*parsed, environment);
  }
  for (const std::string_view later : kLater) {
    if (later == parsed->scheme) {
      return fail(ErrorCode::unsupported,
                  "stores of the kind {}:// are not built yet in this version of Sluice. {}", later,
                  kKnown);
    }
  }
  return std::unexpected(unknown(parsed->scheme, without_password(url)));
}

}  // namespace sluice::store
