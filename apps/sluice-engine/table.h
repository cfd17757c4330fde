// Table: rows under a header, aligned for people.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::cli {

// Collects cells and writes them in columns as wide as their widest cell. What is not fit for a
// terminal (control characters in keys) is made visible.
class Table {
 public:
  enum class Align : std::uint8_t { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // One cell for each column.
  void add(std::vector<std::string> cells);
  // With the header, unless there is no row. The last column is cut so that a line takes at most
  // `width` columns; 0: nothing is cut.
  [[nodiscard]] std::string text(std::size_t width = 0) const;
  [[nodiscard]] bool empty() const { return rows_.empty(); }

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace sluice::cli
