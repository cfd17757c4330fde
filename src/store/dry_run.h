// DryRun: a store that only pretends to write.
#pragma once

#include <cstdint>
#include <memory>

#include "store/decorator.h"

namespace sluice::store {

// Decorates a store for --dry-run: lists and gets go through, puts and erasures change nothing and
// report success, so that a command does everything except the change. What the store below would
// refuse by its limits is refused here too.
class DryRun : public StoreDecorator {
 public:
  using StoreDecorator::StoreDecorator;

  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override;
  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override;
};

}  // namespace sluice::store
