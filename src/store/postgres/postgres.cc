#include "store/postgres/postgres.h"

#include <memory>
#include <utility>

#include "postgres/client.h"
#include "store/budget.h"
#include "store/postgres/backend.h"
#include "store/postgres/kv_store.h"

namespace sluice::store {

Result<Opened> open_postgres(const StoreUrl& url, const Environment& environment) {
  static constexpr std::string_view kOwnParameters[] = {"schema", "table"};
  auto tables = pg::Tables::named(url.parameter("schema"), url.parameter("table"));
  if (!tables) return std::unexpected(std::move(tables.error()));
  postgres::TargetOptions options{.own_parameters = kOwnParameters,
                                  .ca_file = environment.setting("SSL_CERT_FILE")};
  auto target = postgres::make_target(url, options);
  if (!target) return std::unexpected(std::move(target.error()));

  flow::Gate::Options gate = environment.gate;
  gate.budget = shared_budget(environment, url.redacted(), url.password.reveal());
  auto core =
      std::make_shared<pg::Core>(environment.executor, environment.stop, environment.log,
                                 postgres::Client::Options{.target = std::move(*target),
                                                           .timeout = environment.request_timeout,
                                                           .gate = gate,
                                                           .retry = environment.retry},
                                 std::move(*tables));
  Opened opened;
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
