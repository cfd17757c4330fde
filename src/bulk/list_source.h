// ListSource: the selected entries of a store's listing.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "bulk/key_set.h"
#include "bulk/piece_lister.h"
#include "bulk/source.h"

namespace sluice::bulk {

// Lists the pieces that the partitions ask for side by side, and gives their pages by turns: the
// order of the entries depends on the store and the partitions only, not on which answer came
// first. A resumed one passes over what has ended ahead of its start.
class ListSource : public Source {
 public:
  // `keys`: only these, in addition to what the filter asks.
  ListSource(Job& job, store::Store& store, Filter filter, std::optional<KeySet> keys,
             const SourceOptions& options);

  io::Task<Result<SourcePage>> next() override;
  io::Task<> close() override;
  [[nodiscard]] bool knows_metadata() const override { return true; }

  // Passes over keys that were given before. Takes 16 bytes and more a key that is given, so only
  // for as many as --limit allows.
  void pass_over_repeated() { given_.emplace(); }

 private:
  io::Task<Result<>> begin();
  [[nodiscard]] std::size_t page_limit() const;
  void select(store::Block& entries);
  [[nodiscard]] Position position() const;
  [[nodiscard]] Stretch stretch(std::string from, const PieceLister& piece,
                                const store::Block& listed) const;

  Job& job_;
  store::Store& store_;
  Filter filter_;
  std::optional<KeySet> keys_;
  std::string prefix_;
  Partitions partitions_;
  std::size_t automatic_pieces_;
  bool takes_all_;  // the listing by prefix is the selection
  bool values_;
  Position start_;
  std::optional<std::uint64_t> left_;  // of --limit
  std::optional<std::unordered_set<KeySet::Hash, KeySet::HashOfHash>> given_;
  bool begun_ = false;
  bool end_ = false;
  bool in_pieces_ = false;
  std::deque<PieceLister> pieces_;
  std::size_t turn_ = 0;  // the piece that gives the next page
};

}  // namespace sluice::bulk
