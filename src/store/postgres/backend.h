// The Backend of a PostgreSQL database: its namespaces.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/postgres/kv_store.h"
#include "store/store.h"

namespace sluice::store::pg {

class PostgresBackend : public Backend {
 public:
  explicit PostgresBackend(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  [[nodiscard]] std::string description() const override;
  io::Task<Result<std::vector<Namespace>>> namespaces() override;
  io::Task<Result<Namespace>> create_namespace(std::string_view title) override;
  io::Task<Result<>> rename_namespace(const Namespace& which, std::string_view title) override;
  io::Task<Result<>> delete_namespace(const Namespace& which) override;
  io::Task<Result<Namespace>> find_namespace(std::string_view name) override;
  std::unique_ptr<Store> open(const Namespace& which) override;

 private:
  // The rows of a statement on the table of titles; nothing, if there is no such table yet.
  io::Task<Result<std::optional<postgres::Rows>>> ask(postgres::Client::Call about,
                                                      postgres::Statement statement);
  [[nodiscard]] Error taken(std::string_view title) const;
  [[nodiscard]] Error absent(std::string_view name) const;

  std::shared_ptr<Core> core_;
};

}  // namespace sluice::store::pg
