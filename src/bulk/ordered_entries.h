// OrderedEntries: a listing, or a piece of one, as a stream of entries in key order.
#pragma once

#include <string>
#include <string_view>

#include "bulk/piece_lister.h"

namespace sluice::bulk {

// For merges. The next page is fetched while the last one is worked on. A key that is not greater
// than the one before it is an error: a merge of what is not in order would take keys for absent
// that are there.
//
// Always `co_await close()` before destroying it.
class OrderedEntries {
 public:
  // Goes on at `start`, behind the key `through`; both empty: the beginning. `store` lists in
  // order.
  OrderedEntries(io::Executor executor, store::Store& store, Piece piece, ListingPlace start,
                 std::string through, bool values);

  // Whether `current` is there, or nothing is left; else `fill` has to be awaited.
  [[nodiscard]] bool ready() const { return has() || lister_.at_end(); }
  [[nodiscard]] bool has() const { return next_ < page_.entries.size(); }
  // Fetches pages until ready.
  io::Task<Result<>> fill();
  // Requires has(). Valid until the next `fill`.
  [[nodiscard]] const store::EntryView& current() const { return page_.entries[next_]; }
  void pop() { ++next_; }
  // Begins to fetch the first page.
  void fetch_ahead() { lister_.fetch_ahead(0); }
  io::Task<> close() { return lister_.close(); }

  [[nodiscard]] const Piece& piece() const { return lister_.piece(); }
  // From where a listing gives what has not been taken yet, beside some that has.
  [[nodiscard]] const ListingPlace& place() const { return has() ? page_begin_ : lister_.place(); }

 private:
  PieceLister lister_;
  std::string through_;
  std::string last_key_;
  store::Page page_;
  std::size_t next_ = 0;
  ListingPlace page_begin_;  // of page_
};

}  // namespace sluice::bulk
