// AbsentStore and AbsentBackend: what is not there yet, for dry runs.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/store.h"

namespace sluice::store {

// A namespace that a command would make, were it not a dry run: it has no entry. Writing fails
// (unsupported), so put a DryRun around it. Takes as much in a call, and lists in the same order,
// as `capabilities` say; so a dry run meets the limits that the real one would meet. Stateless.
class AbsentStore : public Store {
 public:
  explicit AbsentStore(const Capabilities& capabilities) : capabilities_(capabilities) {}

  [[nodiscard]] const Capabilities& capabilities() const override { return capabilities_; }
  io::Task<Result<Page>> list(ListRequest request) override;
  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override;
  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override;
  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override;

 private:
  const Capabilities capabilities_;
};

// A local store whose file does not exist: it has the namespaces that the file would have at first,
// all empty. What would change something fails (unsupported).
class AbsentBackend : public Backend {
 public:
  AbsentBackend(std::string description, std::vector<Namespace> at_first,
                const Capabilities& capabilities)
      : description_(std::move(description)),
        namespaces_(std::move(at_first)),
        capabilities_(capabilities) {}

  [[nodiscard]] std::string description() const override { return description_; }
  io::Task<Result<std::vector<Namespace>>> namespaces() override;
  io::Task<Result<Namespace>> create_namespace(std::string_view title) override;
  io::Task<Result<>> rename_namespace(const Namespace& which, std::string_view title) override;
  io::Task<Result<>> delete_namespace(const Namespace& which) override;
  io::Task<Result<Namespace>> find_namespace(std::string_view name) override;
  std::unique_ptr<Store> open(const Namespace& which) override;

 private:
  const std::string description_;
  const std::vector<Namespace> namespaces_;
  const Capabilities capabilities_;
};

}  // namespace sluice::store
