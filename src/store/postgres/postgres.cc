#include "store/postgres/postgres.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "postgres/client.h"
#include "store/answer_cache.h"
#include "store/budget.h"
#include "store/postgres/backend.h"
#include "store/postgres/kv_store.h"

namespace sluice::store {

namespace {

// What the cache's answers are known by: all that decides which tables are read, and as whom.
// libpq's defaults are part of it, since PGUSER or PGSERVICE can lead the same URL elsewhere.
std::string identity_of(const StoreUrl& url, const postgres::Target& target,
                        const std::vector<postgres::Default>& defaults) {
  const std::string shown = url.redacted();  // with the schema and the table
  std::vector<std::string_view> known_by{shown};
  for (const auto& [keyword, value] : target.settings) {
    known_by.insert(known_by.end(), {keyword, value.reveal()});
  }
  for (const postgres::Default& each : defaults) {
    if (each.value) known_by.insert(known_by.end(), {each.keyword, *each.value});
  }
  return digest(known_by);
}

}  // namespace

Result<Opened> open_postgres(const StoreUrl& url, const Environment& environment) {
  static constexpr std::string_view kOwnParameters[] = {"schema", "table"};
  auto tables = pg::Tables::named(url.parameter("schema"), url.parameter("table"));
  if (!tables) return std::unexpected(std::move(tables.error()));
  postgres::TargetOptions options{.own_parameters = kOwnParameters,
                                  .ca_file = environment.setting("SSL_CERT_FILE")};
  auto target = postgres::make_target(url, options);
  if (!target) return std::unexpected(std::move(target.error()));

  Opened opened;
  opened.identity = identity_of(url, *target, options.defaults);
  flow::Gate::Options gate = environment.gate;
  gate.budget = shared_budget(environment, url.redacted(), url.password.reveal());
  auto core =
      std::make_shared<pg::Core>(environment.executor, environment.stop, environment.log,
                                 postgres::Client::Options{.target = std::move(*target),
                                                           .timeout = environment.request_timeout,
                                                           .gate = gate,
                                                           .retry = environment.retry},
                                 std::move(*tables));
  opened.wire_stats = [core] {
    const postgres::Client::Stats stats = core->client.stats();
    return WireStats{.gate = stats.gate,
                     .retries = stats.retries,
                     .bytes_sent = stats.traffic.sent,
                     .bytes_received = stats.traffic.received,
                     .trouble = stats.trouble};
  };
  opened.backend = std::make_unique<pg::PostgresBackend>(std::move(core));
  return opened;
}

}  // namespace sluice::store
