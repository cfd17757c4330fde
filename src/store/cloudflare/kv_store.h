// KvStore: the entries of one KV namespace.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "store/cloudflare/account.h"
#include "store/cloudflare/batch_text.h"
#include "store/store.h"

namespace sluice::store::cloudflare {

// What the service takes, from its documentation (KV limits; 100 MB for a bulk write).
[[nodiscard]] const Capabilities& kv_capabilities();

class KvStore final : public Store {
 public:
  KvStore(std::shared_ptr<const Account> account, const Namespace& which);

  [[nodiscard]] const Capabilities& capabilities() const override { return capabilities_; }
  io::Task<Result<Page>> list(ListRequest request) override;
  io::Task<Result<std::vector<std::string>>> split(std::string_view prefix,
                                                   std::size_t parts) override;
  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override;
  // One request for the batch (what exists, with which metadata) and one for each value.
  io::Task<Result<GetAnswer>> get_exact(std::span<const std::string_view> keys) override;
  io::Task<Result<GetAnswer>> get_metadata(std::span<const std::string_view> keys) override;
  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override;
  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override;

 private:
  struct Value {
    std::string bytes;
    std::int64_t expiration = 0;
  };

  // Which values are gotten again, singly, to have them byte for byte.
  enum class Exact : std::uint8_t { none, where_in_doubt, all };
  io::Task<Result<GetAnswer>> get_batch(std::span<const std::string_view> keys, Exact exact);
  // entries[i] answers keys[i], which are distinct and valid.
  io::Task<Result<Block>> bulk_get(std::span<const std::string_view> keys);
  io::Task<Result<Block>> get_alone(std::string_view key);
  // The bytes of one value; nothing if there is no such key.
  io::Task<Result<std::optional<Value>>> fetch_value(std::string_view key);
  io::Task<Result<std::string>> fetch_metadata(std::string_view key);
  // Replaces the value of entries[index] by the bytes as they are.
  io::Task<> fetch_exactly(GetAnswer& answer, std::size_t index);
  // Sends a bulk write of `sent` keys; returns those that were not done.
  io::Task<Result<BulkResult>> bulk_write(http::Request request, std::size_t sent,
                                          std::string_view doing);
  [[nodiscard]] std::string path(std::string_view call, std::string_view key = {}) const;
  [[nodiscard]] std::string doing(std::string_view what) const;

  // Asks for keys at `url`, all of which begin with `prefix`. `from`: the cursor in it.
  io::Task<Result<ListPage>> fetch_keys(std::string url, std::string_view prefix,
                                        std::string_view from);

  std::shared_ptr<const Account> account_;
  Capabilities capabilities_;  // the service's, or more, if it is our own server
  std::string path_;           // of the namespace
  std::string title_;          // for messages
};

}  // namespace sluice::store::cloudflare
