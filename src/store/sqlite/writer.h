// SqliteWriter: what changes the embedded store. Blocks; one thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "sqlite/database.h"
#include "store/store.h"

namespace sluice::store {

// The connection that writes. Each call is one transaction: all of it, or, after an error or a
// crash, nothing. What a call that has returned has written survives a power cut.
class SqliteWriter {
 public:
  // Creates the file if there is none, and migrates an older one.
  static Result<SqliteWriter> open(const std::string& path, const Capabilities& capabilities,
                                   std::shared_ptr<const std::atomic<bool>> give_up);

  Result<WriteAnswer> put(std::int64_t namespace_id, std::span<const EntryView> entries);
  Result<WriteAnswer> erase(std::int64_t namespace_id, std::span<const std::string_view> keys);

  Result<Namespace> create_namespace(std::string_view title);
  Result<> rename_namespace(const Namespace& which, std::string_view title);
  Result<> delete_namespace(const Namespace& which);

 private:
  // The prepared statements of one namespace.
  struct Table {
    sqlite::Statement put;
    sqlite::Statement erase;
    sqlite::Statement sweep;
    sqlite::Statement last_row;
    sqlite::Statement clean_runs;
    sqlite::Statement next_runs;
    std::int64_t cleaned_to = -1;  // the first id of the last run that was looked at; -1: none yet
  };
  // The run (see schema.h) that a put adds to.
  struct Inserted {
    std::int64_t first = 0;
    std::int64_t next = 0;  // the id after the last one inserted
    std::string_view first_key;
  };

  SqliteWriter(sqlite::Database database, const Capabilities& capabilities)
      : capabilities_(&capabilities),
        database_(std::make_unique<sqlite::Database>(std::move(database))) {}
  Result<Table*> table(std::int64_t namespace_id);
  // Not into a file that nobody will find again.
  Result<> commit(sqlite::Transaction& transaction);
  Error explain(Error error, std::int64_t namespace_id);
  Result<> put_in_transaction(std::int64_t namespace_id, std::span<const EntryView> entries,
                              std::span<const std::uint32_t> order, std::int64_t now);
  Result<> erase_in_transaction(std::int64_t namespace_id, std::span<const std::string_view> keys);
  Result<> record_run(std::int64_t namespace_id, Table& table, const Inserted& inserted,
                      bool extends_last);
  // Looks at some runs and removes those that have no row any longer; the next call goes on behind
  // them. `newest` is the first id of the last run.
  static Result<> clean_some_runs(Table& table, std::int64_t newest);
  // Whether a namespace other than `own_id` may take the title.
  Result<> check_title(std::string_view title, std::int64_t own_id);
  Result<std::int64_t> id_of(const Namespace& which);

  const Capabilities* capabilities_;
  std::unique_ptr<sqlite::Database> database_;  // outlives the statements below
  std::unordered_map<std::int64_t, Table> tables_;
};

}  // namespace sluice::store
