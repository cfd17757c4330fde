// RedisBackend: a Redis database as a Backend: the list of its namespaces.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/redis/account.h"
#include "store/store.h"

namespace sluice::store::redis {

// The namespace "default" is there without being created; the others are fields of a hash. Changes
// of that hash are transactions that fail, and begin again, when another program changes it too.
class RedisBackend : public Backend {
 public:
  explicit RedisBackend(std::shared_ptr<Account> account) : account_(std::move(account)) {}

  [[nodiscard]] std::string description() const override { return account_->description(); }
  io::Task<Result<std::vector<Namespace>>> namespaces() override;
  io::Task<Result<Namespace>> create_namespace(std::string_view title) override;
  io::Task<Result<>> rename_namespace(const Namespace& which, std::string_view title) override;
  // Takes it off the list at once, then deletes its entries. If that is broken off, the next
  // deletion of any namespace finishes it; until then it is still found by its name.
  io::Task<Result<>> delete_namespace(const Namespace& which) override;
  io::Task<Result<Namespace>> find_namespace(std::string_view name) override;
  std::unique_ptr<Store> open(const Namespace& which) override;

 private:
  // The namespaces that a hash lists, in no order.
  io::Task<Result<std::vector<Namespace>>> read_list(std::string_view hash, std::string_view doing);
  // One attempt to change the list: `change` is given the list and adds commands to a transaction,
  // or returns why not. Repeated when somebody else changed the list meanwhile.
  using Change = std::function<Result<>(const std::vector<Namespace>&, Commands&)>;
  io::Task<Result<>> change_list(std::string_view doing, const Change& change);
  io::Task<Result<>> sweep(const std::vector<Namespace>& gone, std::string_view doing);

  std::shared_ptr<Account> account_;
};

}  // namespace sluice::store::redis
