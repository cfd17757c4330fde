// Metered: a store whose calls are measured for a server's metrics.
#pragma once

#include <memory>

#include "store/store.h"
#include "telemetry/metrics.h"

namespace sluice::store {

// What all Metered stores of a server count together: how long calls take and how many fail, by
// operation. Made once; copies count the same.
struct StoreMeters {
  explicit StoreMeters(Metrics& metrics);

  struct Operation {
    Histogram seconds;
    Counter failures;
  };
  Operation list;
  Operation get;  // get_exact included
  Operation put;
  Operation erase;
};

// Decorates a store: measures each call. `meters` outlives it.
class Metered : public Store {
 public:
  Metered(std::unique_ptr<Store> below, StoreMeters& meters)
      : below_(std::move(below)), meters_(meters) {}

  [[nodiscard]] const Capabilities& capabilities() const override { return below_->capabilities(); }
  io::Task<Result<Page>> list(ListRequest request) override;
  io::Task<Result<std::vector<std::string>>> split(std::string_view prefix,
                                                   std::size_t parts) override {
    return below_->split(prefix, parts);
  }
  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override;
  io::Task<Result<GetAnswer>> get_exact(std::span<const std::string_view> keys) override;
  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override;
  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override;

 private:
  std::unique_ptr<Store> below_;
  StoreMeters& meters_;
};

// Decorates a backend: measures the calls to the stores that it opens. Keeps `below` alive;
// `meters` outlives it and its stores.
class MeteredBackend : public Backend {
 public:
  MeteredBackend(std::shared_ptr<Backend> below, StoreMeters& meters)
      : below_(std::move(below)), meters_(meters) {}

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
  std::unique_ptr<Store> open(const Namespace& which) override {
    return std::make_unique<Metered>(below_->open(which), meters_);
  }

 private:
  std::shared_ptr<Backend> below_;
  StoreMeters& meters_;
};

}  // namespace sluice::store
