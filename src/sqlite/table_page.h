// What stands on the pages of a table, and how its rows are read, without SQLite.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "sqlite/page_file.h"

namespace sluice::sqlite {

// Views point into the page, or the payload, that was given. Any bytes may be given: what makes no
// sense is nothing.

// An inner page of a table: rows up to `last_id` are below the page `child`.
struct InnerPage {
  struct Child {
    std::uint32_t page = 0;
    std::int64_t last_id = 0;
  };
  // In ascending order. The last one has the largest id that there is.
  std::vector<Child> children;
};
std::optional<InnerPage> parse_inner_page(std::string_view page, std::uint32_t number);

// A row on a leaf of a table.
struct LeafCell {
  std::int64_t id = 0;
  std::uint64_t payload_bytes = 0;
  std::string_view local;      // the beginning of the payload
  std::uint32_t overflow = 0;  // the page on which it goes on; 0: that is all
};
struct LeafPage {
  std::vector<LeafCell> cells;
  // How many more there are that make no sense.
  std::uint64_t damaged = 0;
};
std::optional<LeafPage> parse_leaf_page(std::string_view page, std::uint32_t number);

// All of a row. Nothing: its pages cannot be read, or it is larger than `most`.
Result<std::optional<std::string>> read_payload(const PageFile& file, const LeafCell& cell,
                                                std::uint64_t most);

// A column of a row.
struct Field {
  enum class Kind : std::uint8_t { null, integer, real, text, blob };
  Kind kind = Kind::null;
  std::int64_t integer = 0;
  double real = 0;
  std::string_view bytes;  // of a text or blob
};
std::optional<std::vector<Field>> parse_record(std::string_view payload);

}  // namespace sluice::sqlite
