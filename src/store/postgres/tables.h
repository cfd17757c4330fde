// Tables: which table holds what, and how they come to be.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "io/task.h"
#include "postgres/connection.h"
#include "store/store.h"

namespace sluice::store::pg {

inline constexpr std::string_view kDefaultNamespace = "default";

// `name` as an identifier of SQL, whatever it holds.
[[nodiscard]] std::string quoted_identifier(std::string_view name);

// The tables of one store, by the ids of its namespaces:
//   default   sluice_kv, or the table that the URL names, which has to exist
//   17        sluice_kv_17, with its title in sluice_namespaces
// and all of them in the schema that the URL names, else where the search path leads. Remembers
// which tables it has found to be in order. Belongs to one loop.
class Tables {
 public:
  // Fails when a name is none that PostgreSQL can have.
  static Result<Tables> named(std::optional<std::string_view> schema,
                              std::optional<std::string_view> table);

  // The table of a namespace, as SQL names it; nothing if the id is none of ours.
  [[nodiscard]] std::optional<std::string> entries(std::string_view namespace_id) const;
  [[nodiscard]] std::string registry() const { return in_schema("sluice_namespaces"); }

  // Whether the table exists; fails when it is no table of entries, or when the schema that was
  // named does not exist. Asks the server once for a table that is there.
  io::Task<Result<bool>> exists(postgres::Connection& connection, std::string table);
  // Makes it, unless it is there, also when others do the same at this moment.
  io::Task<Result<>> create(postgres::Connection& connection, std::string table);
  // Makes the table of the namespaces' titles, unless it is there.
  io::Task<Result<>> create_registry(postgres::Connection& connection);
  void forget(const std::string& table) { found_.erase(table); }

  // Whether a missing table is an empty default namespace, to be made by the first put.
  [[nodiscard]] bool made_when_needed(std::string_view namespace_id) const {
    return namespace_id == kDefaultNamespace && !named_by_url_;
  }

  // How the puts into a table are done: COPY into it is more than twice as quick as an upsert, but
  // fails on a key that is there. Then upserts follow for a while, and a longer while each time.
  struct Writing {
    int upserts_left = 0;
    int upserts_next = 16;
  };
  [[nodiscard]] Writing& writing(const std::string& table) { return writing_[table]; }

  [[nodiscard]] static std::string create_entries_sql(const std::string& table);
  [[nodiscard]] static postgres::Statement lock_statement();

 private:
  Tables() = default;
  [[nodiscard]] std::string in_schema(std::string_view name) const;
  io::Task<Result<>> check_schema(postgres::Connection& connection);

  std::optional<std::string> schema_;
  std::string default_table_ = "sluice_kv";
  bool named_by_url_ = false;
  std::unordered_map<std::string, bool> found_;
  std::unordered_map<std::string, Writing> writing_;
};

}  // namespace sluice::store::pg
