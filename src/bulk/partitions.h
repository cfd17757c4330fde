// Partitions: how a listing is parted into pieces that are listed side by side.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "bulk/position.h"
#include "store/store.h"

namespace sluice::bulk {

// What --list-partitions asks for. A store that can seek is split by key range, and the pieces are
// the whole, whatever keys there are. One that cannot is listed in one piece, unless the operator
// names prefixes: the listing is then complete only if every key begins with one of them.
struct Partitions {
  std::size_t count = 0;              // this many pieces at most; 0: as it pays
  std::vector<std::string> prefixes;  // not empty: these prefixes
};

// More pieces than this gain little: the work on the entries takes longer than their listing.
inline constexpr std::size_t kMostAutomaticPieces = 8;

// "auto", a number of pieces (1 to 32), or prefixes parted by commas. Refuses prefixes of which one
// begins with another: what both begin with would be listed twice.
Result<Partitions> parse_partitions(std::string_view text);

// The pieces of a listing by `prefix`, in order; at least one. `automatic` is their number where
// nothing is asked for. Refuses a number for a store that cannot seek, and prefixes that lie
// outside of `prefix`. Costs a request where a store has to be asked for good bounds.
io::Task<Result<std::vector<Piece>>> plan_pieces(store::Store& store, std::string prefix,
                                                 const Partitions& partitions,
                                                 std::size_t automatic);

// The same refusals, without asking the store.
Result<> check_partitions(const Partitions& partitions, const store::Capabilities& can,
                          std::string_view prefix);

}  // namespace sluice::bulk
