#include "bulk/ordered_entries.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace sluice::bulk {

namespace {

// Without a cursor, a store that can seek goes on behind `through` without listing what is before.
Piece narrowed(Piece piece, const store::Store& store, const ListingPlace& start,
               const std::string& through) {
  if (store.capabilities().seekable && start.cursor.empty()) {
    piece.after = std::max(piece.after, through);
  }
  return piece;
}

}  // namespace

OrderedEntries::OrderedEntries(io::Executor executor, store::Store& store, Piece piece,
                               ListingPlace start, std::string through, bool values)
    : lister_(executor, store, narrowed(std::move(piece), store, start, through), start, values),
      through_(std::move(through)),
      page_begin_(std::move(start)) {}

io::Task<Result<>> OrderedEntries::fill() {
  while (!ready()) {
    page_begin_ = lister_.place();
    auto page = co_await lister_.next(0);
    if (!page) co_return std::unexpected(page.error());
    lister_.fetch_ahead(0);
    co_await io::yield();
    page_ = std::move(*page);
    next_ = 0;
    for (const store::EntryView& entry : page_.entries) {
      if (!last_key_.empty() && entry.key <= last_key_) {
        co_return fail(ErrorCode::protocol, Retry::fatal,
                       "the store listed \"{}\" behind \"{}\", which is not the order of keys: "
                       "two such listings cannot be compared",
                       printable(entry.key), printable(last_key_));
      }
      last_key_ = entry.key;
    }
    while (has() && !through_.empty() && current().key <= through_) pop();
  }
  co_return Result<>();
}

}  // namespace sluice::bulk
