// KvBackend: the KV namespaces of a Cloudflare account.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/cloudflare/account.h"
#include "store/store.h"

namespace sluice::store::cloudflare {

class KvBackend final : public Backend {
 public:
  KvBackend(std::shared_ptr<const Account> account, std::string description)
      : account_(std::move(account)), description_(std::move(description)) {}

  [[nodiscard]] const Account& account() const { return *account_; }
  [[nodiscard]] std::string description() const override { return description_; }
  io::Task<Result<std::vector<Namespace>>> namespaces() override;
  io::Task<Result<Namespace>> create_namespace(std::string_view title) override;
  io::Task<Result<>> rename_namespace(const Namespace& which, std::string_view title) override;
  io::Task<Result<>> delete_namespace(const Namespace& which) override;
  io::Task<Result<Namespace>> find_namespace(std::string_view name) override;
  std::unique_ptr<Store> open(const Namespace& which) override;

 private:
  // All namespaces, or only as many as it takes to come to the one of this title, which is then the
  // last.
  io::Task<Result<std::vector<Namespace>>> page_through(std::string_view wanted_title);
  [[nodiscard]] std::string path_of(const Namespace& which) const;

  std::shared_ptr<const Account> account_;
  std::string description_;
};

}  // namespace sluice::store::cloudflare
