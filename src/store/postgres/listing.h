// Listing: pages of one table in key order, by keyset. What is asked, and how the answer is read.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "postgres/rows.h"
#include "store/store.h"

namespace sluice::store::pg {

// One page: looks at up to `rows` rows, and ends behind the first with which it holds kPageBytes,
// all decided by the server in one statement. A cursor is the last key that was looked at, in
// base64: it stays good whatever is written. Rows that have expired are looked at and left out, so
// a page may be empty and have a cursor.
struct PageRequest {
  std::vector<postgres::Statement> statements;  // the page is the answer to the last one
  std::size_t rows = 0;
  bool values = false;
};
// Fails when the cursor is none of ours.
Result<PageRequest> page_request(const std::string& table, const ListRequest& request,
                                 std::size_t rows);

struct PageAnswer {
  Page page;
  std::size_t looked_at = 0;
  bool cut = false;  // it ended because of its bytes
};
[[nodiscard]] PageAnswer read_page(const PageRequest& request, const postgres::Rows& rows);

// See Store::split: the quantiles of a sample of the table's blocks. The answer's rows are the
// keys.
[[nodiscard]] postgres::Statement split_request(const std::string& table, std::string_view prefix,
                                                std::size_t parts);

// A page holds no more bytes of keys, values and metadata than this and one entry.
inline constexpr std::size_t kPageBytes = std::size_t{2} << 20;

}  // namespace sluice::store::pg
