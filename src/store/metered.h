// Metered: a store whose calls are measured for a server's metrics.
#pragma once

#include <memory>

#include "store/decorator.h"
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
  Operation get;  // get_exact and get_metadata included
  Operation put;
  Operation erase;
};

// Decorates a store: measures each call. `meters` outlives it.
class Metered : public StoreDecorator {
 public:
  Metered(std::unique_ptr<Store> below, StoreMeters& meters)
      : StoreDecorator(std::move(below)), meters_(meters) {}

  io::Task<Result<Page>> list(ListRequest request) override;
  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override;
  io::Task<Result<GetAnswer>> get_exact(std::span<const std::string_view> keys) override;
  io::Task<Result<GetAnswer>> get_metadata(std::span<const std::string_view> keys) override;
  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override;
  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override;

 private:
  StoreMeters& meters_;
};

// Decorates a backend: measures the calls to the stores that it opens. Keeps `below` alive;
// `meters` outlives it and its stores.
class MeteredBackend : public BackendDecorator {
 public:
  MeteredBackend(std::shared_ptr<Backend> below, StoreMeters& meters)
      : BackendDecorator(std::move(below)), meters_(meters) {}

  std::unique_ptr<Store> open(const Namespace& which) override {
    return std::make_unique<Metered>(below().open(which), meters_);
  }

 private:
  StoreMeters& meters_;
};

}  // namespace sluice::store
