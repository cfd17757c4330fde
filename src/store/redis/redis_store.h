// RedisStore: one namespace of a Redis database as a Store.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/redis/account.h"
#include "store/redis/get_transaction.h"
#include "store/redis/layout.h"
#include "store/redis/scan_cursor.h"
#include "store/store.h"

namespace sluice::store::redis {

[[nodiscard]] const Capabilities& redis_capabilities();

// A put is one transaction (MULTI … EXEC), and so is a get: value, metadata and expiry of an entry
// are never seen apart. In the default namespace each call but a listing is one round trip; in
// others a put takes two, since it first makes sure that the namespace exists.
class RedisStore : public Store {
 public:
  RedisStore(std::shared_ptr<Account> account, const Namespace& which)
      : account_(std::move(account)), space_(which.id), title_(which.title) {}

  [[nodiscard]] const Capabilities& capabilities() const override { return redis_capabilities(); }
  io::Task<Result<Page>> list(ListRequest request) override;
  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override;
  io::Task<Result<GetAnswer>> get_metadata(std::span<const std::string_view> keys) override;
  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override;
  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override;

 private:
  // The keys that can be in this namespace, in their order; why the others cannot is added to
  // `failed`.
  std::vector<std::string_view> possible_keys(std::span<const std::string_view> keys,
                                              std::vector<KeyFailure>& failed) const;
  // Keys of a listing, with what they lie in.
  struct Scanned {
    std::vector<std::string_view> keys;
    std::vector<Replies> replies;
    std::string run_id;
    std::uint64_t next = 0;
  };
  // What SCAN gives from `scanned.next` on, until about `wanted` keys are there, it has ended, or
  // it has been asked often enough. Fails when a server answers that is not `scanned.run_id`,
  // unless this is the beginning of a listing.
  io::Task<Result<>> scan(std::string_view prefix, std::size_t wanted, bool begin,
                          Scanned& scanned);
  // Entries of `keys` in their order. Missing ones have Presence::missing.
  io::Task<Result<Block>> read(std::span<const std::string_view> keys, GetParts parts,
                               RoundTrip about);
  io::Task<Result<GetAnswer>> get_parts(std::span<const std::string_view> keys, GetParts parts);

  // In front of a round trip's commands, and of its replies: whether the namespace exists.
  void ask_existence(Commands& commands) const;
  Result<> read_existence(Replies& replies, std::string_view doing) const;
  [[nodiscard]] std::string doing(std::string_view what) const;

  std::shared_ptr<Account> account_;
  KeySpace space_;
  std::string title_;
  // Of a listing without values, and of one with them: how many entries a page holds. Shrinks when
  // they do not fit into one answer, and grows when there is room.
  std::size_t entries_per_page_[2] = {1000, 128};
};

}  // namespace sluice::store::redis
