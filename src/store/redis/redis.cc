#include "store/redis/redis.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/utf8.h"
#include "store/answer_cache.h"
#include "store/budget.h"
#include "store/redis/redis_backend.h"

namespace sluice::store {

namespace {

constexpr std::uint16_t kPort = 6379;
// What StoreUrl::redacted writes in the place of a password.
constexpr std::string_view kWithheld = "***";

Result<std::uint32_t> database_of(const StoreUrl& url) {
  std::string_view digits = url.path;
  if (digits.starts_with('/')) digits.remove_prefix(1);
  if (digits.empty()) return 0;
  std::uint32_t number = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || stop != digits.data() + digits.size()) {
    return fail(ErrorCode::invalid_argument,
                "\"{}\": what follows the host has to be the number of a database, as in "
                "{}://{}/2.",
                url.redacted(), url.scheme, url.hosts.front().name);
  }
  return number;
}

}  // namespace

Result<Opened> open_redis(const StoreUrl& url, const Environment& environment) {
  if (url.hosts.empty()) {
    return fail(ErrorCode::invalid_argument,
                "\"{}:\" names no host. Write {}://HOST, {}://HOST:PORT or "
                "{}://USER:PASSWORD@HOST:PORT/DATABASE.",
                url.scheme, url.scheme, url.scheme, url.scheme);
  }
  if (url.hosts.size() > 1) {
    return fail(ErrorCode::invalid_argument,
                "\"{}\" names several hosts, and a Redis database is on one. Name one.",
                url.redacted());
  }
  if (!url.query.empty()) {
    return fail(ErrorCode::invalid_argument,
                "\"{}\" has a \"?\" part, which means nothing here. Leave it out.", url.redacted());
  }
  const auto database = database_of(url);
  if (!database) return std::unexpected(database.error());

  const StoreUrl::Host& host = url.hosts.front();
  sluice::redis::Connection::Options options{
      .address = {.host = host.name,
                  .port = host.port.value_or(kPort),
                  .tls = url.scheme == "rediss",
                  .ca_file = environment.setting("SSL_CERT_FILE"),
                  .user = url.user,
                  .password = url.password,
                  .database = *database},
      .timeout = environment.request_timeout,
  };
  options.connect_timeout = std::min(options.connect_timeout, options.timeout);
  // The URL of a job that is resumed comes from its journal, which holds no password.
  const bool withheld = url.password.reveal() == kWithheld;
  if (options.address.password.empty() || withheld) {
    options.address.password = Secret(environment.setting("REDISCLI_AUTH"));
  }
  if (withheld && options.address.password.empty()) {
    return fail(
        ErrorCode::unauthorized, Retry::fatal,
        "The password of {} was not written down. Set REDISCLI_AUTH to it, or give the whole "
        "command again with --resume.",
        url.redacted());
  }
  if (!options.address.user.empty() && options.address.password.empty()) {
    return fail(ErrorCode::unauthorized, Retry::fatal,
                "\"{}\" names a user but no password. Write {}://USER:PASSWORD@HOST, or set "
                "REDISCLI_AUTH.",
                url.redacted(), url.scheme);
  }
  std::string description = fmt::format(
      "Redis at {}:{}",
      printable(host.name.find(':') == std::string::npos ? host.name : "[" + host.name + "]"),
      options.address.port);
  if (*database != 0) description += fmt::format(", database {}", *database);
  // Whatever the database: --rate is about the server.
  flow::Gate::Options gate = environment.gate;
  const Secret spender(fmt::format("{}\n{}", url.user, options.address.password.reveal()));
  gate.budget = shared_budget(
      environment, fmt::format("redis {}:{}", host.name, options.address.port), spender.reveal());
  const std::string place =
      fmt::format("redis {}:{}/{}", host.name, options.address.port, *database);
  const std::array<std::string_view, 2> known_by{place, spender.reveal()};
  auto account = std::make_shared<redis::Account>(environment, gate, std::move(options),
                                                  std::move(description));
  Opened opened;
  opened.identity = digest(known_by);
  opened.wire_stats = [account] { return account->wire_stats(); };
  opened.backend = std::make_unique<redis::RedisBackend>(account);
  return opened;
}

}  // namespace sluice::store
