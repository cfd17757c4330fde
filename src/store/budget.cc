#include "store/budget.h"

#include <openssl/evp.h>

#include <array>

namespace sluice::store {

std::shared_ptr<flow::Budget> shared_budget(const Environment& environment,
                                            std::string_view address,
                                            std::string_view credentials) {
  if (environment.budget_folder.empty()) return nullptr;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_Digest(credentials.data(), credentials.size(), digest.data(), &length, EVP_sha256(),
                 nullptr) != 1) {
    environment.log.info("the budget of {} is not shared: no SHA-256", address);
    return nullptr;
  }
  std::string key = fmt::format("{}\n", address);
  for (unsigned i = 0; i < length; ++i) key += fmt::format("{:02x}", digest[i]);
  auto budget = flow::Budget::share(environment.budget_folder, key);
  if (!budget) {
    environment.log.info("the budget of {} is not shared with other processes: {}", address,
                         budget.error().message);
    return nullptr;
  }
  return std::move(*budget);
}

}  // namespace sluice::store
