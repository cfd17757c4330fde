// Account: the connection to one database of a Redis server, shared by its backend and its stores.
#pragma once

#include <string>

#include "base/error.h"
#include "flow/attempt.h"
#include "flow/gate.h"
#include "redis/client.h"
#include "store/redis/layout.h"
#include "store/registry.h"

namespace sluice::store::redis {

using sluice::redis::Client;
using sluice::redis::Replies;
using sluice::redis::Reply;
using sluice::redis::RoundTrip;
using sluice::redis::ServerFacts;

class Account {
 public:
  Account(const Environment& environment, const flow::Gate::Options& gate,
          sluice::redis::Connection::Options options, std::string description);

  [[nodiscard]] Client& client() { return client_; }
  // "Redis at host:6379, database 2"
  [[nodiscard]] const std::string& description() const { return description_; }
  [[nodiscard]] WireStats wire_stats() const;

  [[nodiscard]] Error no_such_namespace(std::string_view id) const;

  // Whether the server knows EXPIRETIME (Redis 7.0), as far as is known.
  bool knows_expiretime = true;

 private:
  flow::Gate gate_;
  flow::Retrier retrier_;
  Client client_;
  std::string description_;
};

// Reads the answers to `MULTI`, `queued` commands and `EXEC`, up to the array that EXEC answers;
// the next reply is its first element. Fails when the server has refused any of them: then none has
// been carried out. False if somebody else changed what was watched; then none has been, either.
Result<bool> read_transaction(Replies& replies, std::size_t queued, std::string_view doing);

// The replies have not the shape of what was asked.
Error misshapen(std::string_view doing);

}  // namespace sluice::store::redis
