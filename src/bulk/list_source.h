// ListSource: the selected entries of a store's listing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bulk/source.h"

namespace sluice::bulk {

// A set of keys that takes 16 bytes each, whatever their length: it keeps their 128-bit XXH3
// hashes, of which two are the same by chance once in 10^26 for a million keys.
class KeySet {
 public:
  void add(std::string_view key);
  // Call once, after the last add.
  void seal();
  [[nodiscard]] bool contains(std::string_view key) const;

 private:
  struct Hash {
    std::uint64_t high, low;
    auto operator<=>(const Hash&) const = default;
  };
  static Hash hash(std::string_view key);
  std::vector<Hash> hashes_;
};

class ListSource : public Source {
 public:
  // `keys`: only these, in addition to what the filter asks.
  ListSource(io::Executor executor, store::Store& store, Filter filter, std::optional<KeySet> keys,
             const SourceOptions& options);

  io::Task<Result<SourcePage>> next() override;
  io::Task<> close() override;
  [[nodiscard]] bool knows_metadata() const override { return true; }

 private:
  void fetch_ahead(std::string cursor, std::string after);
  io::Task<Result<store::Page>> first_page_again(const Error& refusal);

  io::Executor executor_;
  store::Store& store_;
  Filter filter_;
  std::optional<KeySet> keys_;
  std::string prefix_;
  bool takes_all_;  // the listing by prefix is the selection
  bool values_;
  Position start_;
  std::optional<std::uint64_t> left_;  // of --limit
  std::string skip_through_;           // a refused cursor: keys up to this one have been worked on
  bool first_ = true;
  bool end_ = false;
  // The greatest key listed so far, which becomes Position::last_key; where keys come in order, no
  // later page has a smaller one. Not simply the last key of the page: a listing that was begun
  // again passes over pages that lie before it, and a job that is resumed once more must not go
  // back to them.
  std::string greatest_key_;
  // The page that is being fetched while the one before it is worked on.
  std::optional<io::Started<Result<store::Page>>> ahead_;
};

}  // namespace sluice::bulk
