// MetadataSource: keys of a file, with the metadata that the store has for them.
#pragma once

#include <memory>

#include "bulk/source.h"

namespace sluice::bulk {

// Asks the store for each page's keys, get_keys a call, and passes over those that do not exist.
// Cheaper than reading the listing for a few keys of a large namespace: values travel in vain, but
// requests are what a budget counts. `store` outlives it.
class MetadataSource : public Source {
 public:
  MetadataSource(store::Store& store, std::unique_ptr<Source> keys)
      : store_(store), keys_(std::move(keys)) {}

  io::Task<Result<SourcePage>> next() override;
  io::Task<> close() override { return keys_->close(); }
  [[nodiscard]] bool knows_metadata() const override { return true; }

 private:
  // Appends what the store has of some keys to `found`.
  io::Task<Result<>> ask(std::span<const std::string_view> keys, store::Block& found);

  store::Store& store_;
  std::unique_ptr<Source> keys_;
};

}  // namespace sluice::bulk
