// SqliteReader: what the embedded store answers. Blocks; one thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sqlite/database.h"
#include "store/sqlite/listing.h"
#include "store/store.h"

namespace sluice::store {

// A connection that only reads, beside the writer's: thanks to the write-ahead log neither waits
// for the other. Every call sees the state of one moment; what a put that has returned has written
// is in it. Expired entries are never seen.
class SqliteReader {
 public:
  // The file must have been adopted (sqlite::adopt) before.
  static Result<SqliteReader> open(const std::string& path, const Capabilities& capabilities,
                                   std::shared_ptr<const std::atomic<bool>> give_up);

  Result<Page> list(std::int64_t namespace_id, const ListRequest& request);
  Result<std::vector<std::string>> split(std::int64_t namespace_id, std::string_view prefix,
                                         std::size_t parts);
  // More than kMostAnswerBytes of values are too_large (smaller), unless it is a single one.
  // Without `values`, those stay on the disk.
  Result<GetAnswer> get(std::int64_t namespace_id, std::span<const std::string_view> keys,
                        bool values = true);

  Result<std::vector<Namespace>> namespaces();
  Result<Namespace> find_namespace(std::string_view name);

  // Fails when the file has been deleted, moved or replaced.
  Result<> check_in_place() { return database_->check_in_place(); }

  [[nodiscard]] const std::string& path() const { return database_->path(); }

 private:
  static constexpr std::size_t kMostAnswerBytes = std::size_t{32} << 20;

  // The prepared statements of one namespace.
  struct Table {
    sqlite::Statement get;
    std::unique_ptr<Listing> listing;
  };

  SqliteReader(sqlite::Database database, const Capabilities& capabilities)
      : capabilities_(&capabilities),
        database_(std::make_unique<sqlite::Database>(std::move(database))) {}
  Result<Table*> table(std::int64_t namespace_id);
  // After an error: whether its cause is that the namespace does not exist.
  Error explain(Error error, std::int64_t namespace_id);
  Result<GetAnswer> get_from(Table& table, std::span<const std::string_view> keys, bool values);

  const Capabilities* capabilities_;
  std::unique_ptr<sqlite::Database> database_;  // outlives the statements below
  std::unordered_map<std::int64_t, Table> tables_;
};

// The error for a namespace id that `path` does not have.
Error no_such_namespace(std::int64_t namespace_id, const std::string& path);

}  // namespace sluice::store
