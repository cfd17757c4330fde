#include "store/cloudflare/cloudflare.h"

#include <array>
#include <utility>

#include "base/percent.h"
#include "store/answer_cache.h"
#include "store/cloudflare/account.h"
#include "store/cloudflare/kv_backend.h"

namespace sluice::store {

using cloudflare::is_printable_ascii;
using cloudflare::trimmed;

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
  auto connection = cloudflare::Connection::open(environment);
  if (!connection) return std::unexpected(std::move(connection.error()));
  std::string path = "/accounts/";
  append_percent_encoded(path, id);
  path += "/storage/kv/namespaces";
  std::string description = "Cloudflare account " + id;
  const std::string& address = (*connection)->address();
  if (!address.empty()) description += " at " + address;
  Opened opened;
  opened.wire_stats = [shared = *connection] { return shared->wire_stats(); };
  const std::array<std::string_view, 2> known_by{(*connection)->identity(), id};
  opened.identity = digest(known_by);
  opened.checks_namespace = true;
  opened.backend = std::make_unique<cloudflare::KvBackend>(
      std::make_shared<const cloudflare::Account>(*connection, std::move(id), std::move(path)),
      std::move(description));
  return opened;
}

std::shared_ptr<cloudflare::Connection> cloudflare_connection_of(const Backend& backend) {
  const auto* const kv = dynamic_cast<const cloudflare::KvBackend*>(&backend);
  return kv == nullptr ? nullptr : kv->account().connection;
}

}  // namespace sluice::store
