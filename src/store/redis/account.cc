#include "store/redis/account.h"

#include <random>

#include "base/utf8.h"
#include "redis/server_error.h"

namespace sluice::store::redis {

Account::Account(const Environment& environment, const flow::Gate::Options& gate,
                 sluice::redis::Connection::Options options, std::string description)
    : gate_(environment.executor, environment.stop, gate),
      retrier_(environment.stop, environment.retry, std::random_device{}()),
      client_(environment.executor, gate_, retrier_, environment.log, std::move(options)),
      description_(std::move(description)) {}

WireStats Account::wire_stats() const {
  return {.gate = gate_.stats(),
          .retries = retrier_.retries,
          .bytes_sent = client_.traffic().bytes_sent,
          .bytes_received = client_.traffic().bytes_received,
          .trouble = retrier_.trouble()};
}

Error Account::no_such_namespace(std::string_view id) const {
  return Error{
      ErrorCode::not_found, Retry::fatal, std::nullopt,
      fmt::format("{} has no namespace with the id \"{}\"; `sluice kv namespace list` shows them.",
                  description_, truncated_to_width(printable(id), 80))};
}

Result<bool> read_transaction(Replies& replies, std::size_t queued, std::string_view doing) {
  // The refusal of one command says more than EXEC's, which comes of it.
  std::optional<Error> refused;
  for (std::size_t i = 0; i < queued + 1; ++i) {
    const Reply& reply = replies.next();
    if (reply.is_error() && !refused) refused = sluice::redis::server_error(reply.text, doing);
  }
  if (refused) return std::unexpected(std::move(*refused));
  const Reply& end = replies.next();
  if (end.is_error()) return std::unexpected(sluice::redis::server_error(end.text, doing));
  if (end.kind == sluice::redis::ReplyKind::nil) return false;
  if (!end.is_array(queued)) return std::unexpected(misshapen(doing));
  return true;
}

Error misshapen(std::string_view doing) {
  return Error{ErrorCode::protocol, Retry::never, std::nullopt,
               fmt::format("Redis's answer while {} is not what was asked for. Check that the "
                           "address is that of a Redis server.",
                           doing)};
}

}  // namespace sluice::store::redis
