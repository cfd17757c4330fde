// DryRun: a store that only pretends to write.
#pragma once

#include <cstdint>
#include <memory>

#include "store/store.h"

namespace sluice::store {

// Decorates a store for --dry-run: lists and gets go through, puts and erasures change nothing and
// report success, so that a command does everything except the change. What the store below would
// refuse by its limits is refused here too.
class DryRun : public Store {
 public:
  explicit DryRun(std::unique_ptr<Store> below) : below_(std::move(below)) {}

  [[nodiscard]] const Capabilities& capabilities() const override { return below_->capabilities(); }
  io::Task<Result<Page>> list(ListRequest request) override { return below_->list(request); }
  io::Task<Result<std::vector<std::string>>> split(std::string_view prefix,
                                                   std::size_t parts) override {
    return below_->split(prefix, parts);
  }
  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override {
    return below_->get(keys);
  }
  io::Task<Result<GetAnswer>> get_exact(std::span<const std::string_view> keys) override {
    return below_->get_exact(keys);
  }
  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override;
  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override;

 private:
  std::unique_ptr<Store> below_;
};

}  // namespace sluice::store
