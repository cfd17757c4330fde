#include "postgres/rows.h"

#include <libpq-fe.h>

#include <charconv>
#include <utility>

#include "postgres/binary.h"

namespace sluice::postgres {

Statement& Statement::bytes(std::string value) {
  parameters.push_back({oid::bytea, false, std::move(value)});
  return *this;
}
Statement& Statement::text(std::string value) {
  parameters.push_back({oid::text, false, std::move(value)});
  return *this;
}
Statement& Statement::json(std::string value) {
  parameters.push_back({oid::json, false, std::move(value)});
  return *this;
}
Statement& Statement::int64(std::int64_t value) {
  std::string encoded;
  append_int64(encoded, value);
  parameters.push_back({oid::int8, false, std::move(encoded)});
  return *this;
}
Statement& Statement::timestamp(std::int64_t value) {
  int64(value);
  parameters.back().type = oid::timestamptz;
  return *this;
}
Statement& Statement::bytea_array(std::string encoded) {
  parameters.push_back({oid::bytea_array, false, std::move(encoded)});
  return *this;
}
Statement& Statement::null(std::uint32_t type) {
  parameters.push_back({type, true, {}});
  return *this;
}

void Rows::Clear::operator()(pg_result* result) const {
  PQclear(result);
}

std::size_t Rows::size() const {
  return static_cast<std::size_t>(PQntuples(result_.get()));
}

std::uint64_t Rows::affected() const {
  const std::string_view text = result_ ? PQcmdTuples(result_.get()) : "";
  std::uint64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

bool Rows::is_null(std::size_t row, int column) const {
  return PQgetisnull(result_.get(), static_cast<int>(row), column) != 0;
}

std::string_view Rows::bytes(std::size_t row, int column) const {
  const int at = static_cast<int>(row);
  const int length = PQgetlength(result_.get(), at, column);
  if (length <= 0) return {};
  return {PQgetvalue(result_.get(), at, column), static_cast<std::size_t>(length)};
}

std::int64_t Rows::int64(std::size_t row, int column) const {
  const std::string_view value = bytes(row, column);
  return value.size() == sizeof(std::int64_t) ? read_int64(value) : 0;
}

bool Rows::boolean(std::size_t row, int column) const {
  const std::string_view value = bytes(row, column);
  return value.size() == 1 && value.front() != 0;
}

}  // namespace sluice::postgres
