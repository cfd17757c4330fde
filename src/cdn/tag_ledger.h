// TagLedger: the cache tags of entries that are being deleted, so that none is forgotten.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bulk/erase_witness.h"
#include "cdn/item_spool.h"
#include "cdn/purge.h"

namespace sluice::cdn {

// Witnesses a deletion, and purges the tags of what was deleted when all is deleted.
//
// Before a batch is deleted, its tags are noted on disk; when the store has answered, those of the
// keys that are gone become due. So at any moment at which the process may die, the tags of a
// deleted key are either purged, or noted in the spool from which a resumed job purges them.
//
// Whose tags are purged:
//  - of keys that the store has said are deleted: always, after the last deletion, since what is
//    rendered between the deletions may bring a page back;
//  - of keys that it has said are not: never;
//  - of keys whose deletion nobody has answered (a cut connection, a time-out, a crash): too.
//    Purging a tag for nothing is harmless, keeping a stale page is not.
class TagLedger final : public bulk::EraseWitness {
 public:
  struct Options {
    std::vector<Zone> zones;
    std::vector<std::string> fixed;    // tags that any deletion makes due; checked
    std::optional<std::string> field;  // of the metadata; none: see tags_of
    bool dry_run = false;
    std::string failure_path;  // where tags are written that were not purged
  };
  // What is referred to outlives the ledger. When an earlier run of the job has used `spool`,
  // presume() was called on it.
  TagLedger(bulk::Job& job, PurgeApi& api, ItemSpool& spool, Options options);

  io::Task<Result<>> before(const store::Block& entries) override;
  io::Task<Result<>> after(const store::Block& entries, const bulk::BatchOutcome& outcome) override;
  io::Task<Result<>> end(const Error* early) override;

  // What became of the tags; nothing if a stop came before their turn.
  [[nodiscard]] const std::optional<PurgeReport>& report() const { return report_; }
  // Tags that are not purged, over all zones, when the run has ended; and where they are, as
  // `sluice purge tags --from` takes them (empty: no tag is left).
  [[nodiscard]] std::uint64_t left() const { return left_; }
  [[nodiscard]] const std::string& left_file() const { return left_file_; }
  // Tags that metadata names and that are none: too long, or not printable ASCII.
  [[nodiscard]] std::uint64_t unusable() const { return unusable_; }
  // Entries to be deleted, and those among them whose metadata names no tag.
  [[nodiscard]] std::uint64_t entries() const { return entries_; }
  [[nodiscard]] std::uint64_t untagged() const { return untagged_; }
  // What `end` failed with is about tags that were refused one by one, not about all.
  [[nodiscard]] bool refused_some() const { return refused_some_; }

 private:
  // Every tag of the entries once, with its fate by `fate_of(index)`.
  template <class FateOf>
  std::vector<ItemSpool::Noted> noted(const store::Block& entries, FateOf fate_of);
  io::Task<Result<>> count_left(const std::string& reason);

  bulk::Job& job_;
  PurgeApi& api_;
  ItemSpool& spool_;
  Options options_;
  std::vector<std::string> zone_ids_;
  std::uint64_t unusable_in_batch_ = 0;
  std::uint64_t untagged_in_batch_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t untagged_ = 0;
  std::uint64_t unusable_ = 0;
  std::uint64_t left_ = 0;
  std::string left_file_;
  bool refused_some_ = false;
  std::optional<PurgeReport> report_;
};

}  // namespace sluice::cdn
