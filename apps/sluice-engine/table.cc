#include "table.h"

#include <algorithm>

#include "base/utf8.h"

namespace sluice::cli {

namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kLeastWidth = 8;

void append_cell(std::string& out, std::string_view cell, std::size_t width, Table::Align align,
                 bool last) {
  const std::size_t own = display_width(cell);
  const std::string padding(width > own ? width - own : 0, ' ');
  if (align == Table::Align::right) out += padding;
  out += cell;
  if (!last) {
    if (align == Table::Align::left) out += padding;
    out.append(kGap, ' ');
  }
}

}  // namespace

void Table::add(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::text(std::size_t width) const {
  if (rows_.empty()) return {};
  std::vector<std::size_t> widths;
  std::size_t before_last = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t widest = display_width(columns_[i].title);
    for (const auto& row : rows_) widest = std::max(widest, display_width(row[i]));
    widths.push_back(widest);
    if (i + 1 < columns_.size()) before_last += widest + kGap;
  }
  const std::size_t room = width > before_last ? width - before_last : 0;
  std::string out;
  const auto append_row = [&](const auto& cell_of) {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const bool last = i + 1 == columns_.size();
      std::string cell = cell_of(i);
      if (last && width > 0) cell = truncated_to_width(cell, std::max(room, kLeastWidth));
      append_cell(out, cell, widths[i], columns_[i].align, last);
    }
    while (out.ends_with(' ')) out.pop_back();
    out += '\n';
  };
  append_row([&](std::size_t i) { return columns_[i].title; });
  for (const auto& row : rows_) append_row([&](std::size_t i) { return row[i]; });
  return out;
}

}  // namespace sluice::cli
