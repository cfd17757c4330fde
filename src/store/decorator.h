// StoreDecorator and BackendDecorator: what changes some calls of a store or backend stands on.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/store.h"

namespace sluice::store {

// Forwards every call. A decorator overrides those that it changes; whoever adds a call to Store
// that writes adds it to DryRun, too.
class StoreDecorator : public Store {
 public:
  explicit StoreDecorator(std::unique_ptr<Store> below) : below_(std::move(below)) {}

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
  io::Task<Result<GetAnswer>> get_metadata(std::span<const std::string_view> keys) override {
    return below_->get_metadata(keys);
  }
  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override {
    return below_->put(entries);
  }
  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override {
    return below_->erase(keys);
  }

 protected:
  [[nodiscard]] Store& below() { return *below_; }

 private:
  std::unique_ptr<Store> below_;
};

// The same for a backend, which it keeps alive.
class BackendDecorator : public Backend {
 public:
  explicit BackendDecorator(std::shared_ptr<Backend> below) : below_(std::move(below)) {}

  [[nodiscard]] std::string description() const override { return below_->description(); }
  io::Task<Result<std::vector<Namespace>>> namespaces() override { return below_->namespaces(); }
  io::Task<Result<Namespace>> create_namespace(std::string_view title) override {
    return below_->create_namespace(title);
  }
  io::Task<Result<>> rename_namespace(const Namespace& which, std::string_view title) override {
    return below_->rename_namespace(which, title);
  }
  io::Task<Result<>> delete_namespace(const Namespace& which) override {
    return below_->delete_namespace(which);
  }
  io::Task<Result<Namespace>> find_namespace(std::string_view name) override {
    return below_->find_namespace(name);
  }
  std::unique_ptr<Store> open(const Namespace& which) override { return below_->open(which); }

 protected:
  [[nodiscard]] Backend& below() { return *below_; }

 private:
  std::shared_ptr<Backend> below_;
};

}  // namespace sluice::store
