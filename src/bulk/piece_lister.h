// PieceLister: the pages of one piece of a listing.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "bulk/position.h"
#include "store/store.h"

namespace sluice::bulk {

// Gives the pages of a piece in the store's order, the next one fetched while the last one is
// worked on, if the caller says so. What a store lists beside what it was asked for is an error: a
// service that overlooked the prefix would otherwise have everything deleted.
//
// Always `co_await close()` before destroying it: it may be fetching ahead.
class PieceLister {
 public:
  // `start`: where to go on; default: the beginning. `store` outlives the lister.
  PieceLister(io::Executor executor, store::Store& store, Piece piece, ListingPlace start,
              bool values);

  // Begins to fetch the next page, if that has not begun and there is one. `limit`: entries wanted
  // at most; 0: a full page.
  void fetch_ahead(std::size_t limit);
  // The next page, which may be empty before the end. Requires !at_end().
  io::Task<Result<store::Page>> next(std::size_t limit);
  io::Task<> close();

  [[nodiscard]] const Piece& piece() const { return piece_; }
  // Behind the last page that `next` gave.
  [[nodiscard]] const ListingPlace& place() const { return place_; }
  [[nodiscard]] bool at_end() const { return place_.end; }

 private:
  void fetch(std::string cursor, std::string after, std::size_t limit);
  io::Task<Result<store::Page>> first_page_again(const Error& refusal, std::size_t limit);
  [[nodiscard]] Result<> check(const store::Page& page) const;

  io::Executor executor_;
  store::Store& store_;
  Piece piece_;
  // Its last_key is the greatest key listed so far, not simply the last one of the page: a listing
  // that was begun again passes over pages that lie before it, and a job that is resumed once more
  // must not go back to them.
  ListingPlace place_;
  bool values_;
  bool first_ = true;
  std::string skip_through_;  // a refused cursor: keys up to this one have been worked on
  // The page that is being fetched while the one before it is worked on.
  std::optional<io::Started<Result<store::Page>>> ahead_;
};

}  // namespace sluice::bulk
