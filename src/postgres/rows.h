// Rows and Statement: what is asked of a database, and what it answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct pg_result;

namespace sluice::postgres {

// One statement of SQL with its parameters ($1, $2 …), which are sent in binary.
struct Statement {
  explicit Statement(std::string text) : sql(std::move(text)) {}

  Statement& bytes(std::string value);  // bytea
  Statement& text(std::string value);
  Statement& json(std::string value);
  Statement& int64(std::int64_t value);
  Statement& timestamp(std::int64_t value);     // see binary.h
  Statement& bytea_array(std::string encoded);  // see binary.h
  Statement& null(std::uint32_t type);

  struct Parameter {
    std::uint32_t type = 0;
    bool is_null = false;
    std::string value;
  };
  std::string sql;
  std::vector<Parameter> parameters;
};

// The rows of one answer, in binary; views into it are valid as long as it is.
class Rows {
 public:
  Rows() = default;
  explicit Rows(pg_result* result) : result_(result) {}

  [[nodiscard]] std::size_t size() const;
  // Rows that the statement inserted, updated or deleted.
  [[nodiscard]] std::uint64_t affected() const;

  [[nodiscard]] bool is_null(std::size_t row, int column) const;
  // The bytes of any type; NULL reads as empty.
  [[nodiscard]] std::string_view bytes(std::size_t row, int column) const;
  // Of an int8 or timestamptz; NULL, and anything that has not eight bytes, reads as 0.
  [[nodiscard]] std::int64_t int64(std::size_t row, int column) const;
  [[nodiscard]] bool boolean(std::size_t row, int column) const;

 private:
  struct Clear {
    void operator()(pg_result* result) const;
  };
  std::unique_ptr<pg_result, Clear> result_;
};

}  // namespace sluice::postgres
