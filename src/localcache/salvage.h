// Salvage: what can still be read of a damaged database.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "localcache/table.h"
#include "sqlite/page_file.h"

namespace sluice::localcache {

// A row that was found. Its key, tags and value are not checked yet.
struct Found {
  Row row;
  std::string_view stored;
  // It belongs to the table. Otherwise it may be what a deleted or overwritten entry left on a page
  // that holds nothing any more.
  bool sure = true;
};

struct Salvaged {
  // What was kept as sums, and the limits: nothing if that page is lost.
  std::optional<Totals> totals;
  // The table's tree could be followed to all of its leaves, so that nothing is missing.
  bool complete = false;
  // Rows of the table that were seen and make no sense.
  std::uint64_t damaged = 0;
};

// Gives every row that is left to `take`: first those that surely belong to the table, by id as
// far as its tree can be followed; then the others, those that were set last first.
//
// What hangs on a lost inner page is looked for on all pages. The list of free pages tells which
// of them count; if that is lost too, their rows are not sure. Nor are those that no inner page
// leads to, which are looked for if the totals know of more entries. Without a readable schema, the
// table is taken to begin on page 2, where SQLite puts the first table of a new or compacted file.
using TakeFound = std::function<Result<>(const Found& found)>;
Result<Salvaged> salvage(const sqlite::PageFile& file, const TakeFound& take);

}  // namespace sluice::localcache
