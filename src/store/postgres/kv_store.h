// KvStore: the entries of one namespace.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postgres/client.h"
#include "store/postgres/tables.h"
#include "store/store.h"

namespace sluice::store::pg {

// What a backend and its stores share.
struct Core {
  Core(io::Executor executor, io::Stop& stop, Log& log, postgres::Client::Options options,
       Tables known_tables)
      : client(executor, stop, log, std::move(options)), tables(std::move(known_tables)) {}

  postgres::Client client;
  Tables tables;
};

class KvStore : public Store {
 public:
  KvStore(std::shared_ptr<Core> core, Namespace which);

  [[nodiscard]] const Capabilities& capabilities() const override;
  io::Task<Result<Page>> list(ListRequest request) override;
  io::Task<Result<std::vector<std::string>>> split(std::string_view prefix,
                                                   std::size_t parts) override;
  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override;
  io::Task<Result<GetAnswer>> get_metadata(std::span<const std::string_view> keys) override;
  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override;
  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override;

 private:
  struct Batch;

  io::Task<Result<GetAnswer>> get_either(std::span<const std::string_view> keys, bool values);

  // Runs statements on the table and returns the rows of the last one; nothing, if the table is an
  // empty default namespace that does not exist yet.
  io::Task<Result<std::optional<postgres::Rows>>> ask(
      postgres::Client::Call about, std::function<std::vector<postgres::Statement>()> statements);
  // Whether there is a table to read; with `make`, makes the one that may be made.
  io::Task<Result<bool>> ready(postgres::Connection& connection, bool make);
  io::Task<Result<>> write(postgres::Connection& connection, const Batch& batch);
  io::Task<Result<>> write_few(postgres::Connection& connection, const Batch& batch);
  io::Task<Result<>> write_new(postgres::Connection& connection, const Batch& batch);
  io::Task<Result<>> write_over(postgres::Connection& connection, const Batch& batch);
  // What an error of the server means for this namespace.
  [[nodiscard]] Error explain(Error error, std::string_view sqlstate);
  [[nodiscard]] Error no_such_namespace() const;
  [[nodiscard]] std::string doing(std::string_view what) const;

  std::shared_ptr<Core> core_;
  Namespace which_;
  std::optional<std::string> table_;  // none: the id is none of ours
  // Rows that a page with values looks at: fewer when they are large.
  std::size_t rows_with_values_;
};

}  // namespace sluice::store::pg
