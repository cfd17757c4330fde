// MetadataSource and FewEntriesSource: keys of a file, with what the store has for them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bulk/selection.h"
#include "bulk/source.h"

namespace sluice::bulk {

// Asks the store for each page's keys, get_keys a call, and passes over those that do not exist.
// Cheaper than reading the listing for a few keys of a large namespace. `store` outlives it.
class MetadataSource : public Source {
 public:
  MetadataSource(store::Store& store, std::unique_ptr<Source> keys)
      : store_(store), keys_(std::move(keys)) {}

  io::Task<Result<SourcePage>> next() override;
  io::Task<> close() override { return keys_->close(); }
  [[nodiscard]] bool knows_metadata() const override { return true; }

 private:
  store::Store& store_;
  std::unique_ptr<Source> keys_;
};

// The entries under a few keys: those that a listing narrowed down by them would give. `store`
// outlives it.
class FewEntriesSource : public Source {
 public:
  // `keys` in the order in which the entries come, each once; `limit`: entries at most.
  FewEntriesSource(store::Store& store, std::vector<std::string> keys, Filter filter,
                   std::optional<std::uint64_t> limit)
      : store_(store), keys_(std::move(keys)), filter_(std::move(filter)), left_(limit) {}

  io::Task<Result<SourcePage>> next() override;
  io::Task<> close() override { co_return; }
  [[nodiscard]] bool knows_metadata() const override { return true; }

 private:
  store::Store& store_;
  std::vector<std::string> keys_;
  std::size_t next_ = 0;  // of keys_
  Filter filter_;
  std::optional<std::uint64_t> left_;
};

}  // namespace sluice::bulk
