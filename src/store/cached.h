// CachedBackend and CachedStore: decorators that spare requests by what the local cache knows.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/answer_cache.h"
#include "store/decorator.h"

namespace sluice::store {

// What a backend's answers are kept under in the cache.
struct CacheScope {
  // A digest of the service's address, the account and the credentials (Opened::identity). Not
  // empty.
  std::string identity;
  // Whether every call names its namespace and fails for one that is gone, so that a remembered id
  // does no harm (Opened::checks_namespace).
  bool checks_namespace = false;
};

// Decorates a backend: the look-up of a namespace by name is answered by the cache while it is
// fresh; creating, renaming and deleting drop what they change.
//
// A namespace that a remembered id does not lead to any more is looked up again, once, when the
// first call of its store fails for it: the caller does not notice. Fails a later call for it, the
// entry is dropped and the error returned. Not remembered are namespaces of services that do not
// check ids, and of those whose look-up tells more than the id (that a listing can seek).
class CachedBackend : public BackendDecorator, public std::enable_shared_from_this<CachedBackend> {
 public:
  enum class LookUps : std::uint8_t {
    remembered,  // answered by the cache
    anew,        // asked for, and then kept
  };
  static std::shared_ptr<CachedBackend> make(std::shared_ptr<Backend> below,
                                             std::shared_ptr<AnswerCache> cache, CacheScope scope,
                                             LookUps look_ups);

  io::Task<Result<Namespace>> create_namespace(std::string_view title) override;
  io::Task<Result<>> rename_namespace(const Namespace& which, std::string_view title) override;
  io::Task<Result<>> delete_namespace(const Namespace& which) override;
  io::Task<Result<Namespace>> find_namespace(std::string_view name) override;
  std::unique_ptr<Store> open(const Namespace& which) override;

 private:
  class RememberedStore;

  CachedBackend(std::shared_ptr<Backend> below, std::shared_ptr<AnswerCache> cache,
                CacheScope scope, LookUps look_ups);
  io::Task<Result<Namespace>> find_anew(std::string_view name);
  io::Task<> forget(std::vector<std::string> names);
  [[nodiscard]] std::string key_of(std::string_view name) const;

  std::shared_ptr<AnswerCache> cache_;
  CacheScope scope_;
  LookUps look_ups_;
  std::map<std::string, std::string, std::less<>> remembered_;  // id → the name asked for
};

// Decorates the store of one namespace.
//
// Answering: a get takes from the cache what is fresh there, asks the store for the rest, and keeps
// what it answers, with metadata and expiry. Keys that are missing or failed are not kept.
//
// Always: keys that a put or an erasure has been tried on are dropped from the cache when it has
// ended; after some hundred of them, all of the namespace's. What another process got before such a
// write and stores after it stays for as long as answers are kept.
class CachedStore : public StoreDecorator {
 public:
  enum class Gets : std::uint8_t { from_store, from_cache };

  CachedStore(std::unique_ptr<Store> below, std::shared_ptr<AnswerCache> cache,
              const CacheScope& scope, const Namespace& in, Gets gets);

  io::Task<Result<GetAnswer>> get(std::span<const std::string_view> keys) override;
  io::Task<Result<GetAnswer>> get_exact(std::span<const std::string_view> keys) override;
  io::Task<Result<GetAnswer>> get_metadata(std::span<const std::string_view> keys) override;
  io::Task<Result<WriteAnswer>> put(std::span<const EntryView> entries) override;
  io::Task<Result<WriteAnswer>> erase(std::span<const std::string_view> keys) override;

  // What the cache's keys of the namespace's values begin with.
  static std::string prefix_of(const CacheScope& scope, std::string_view namespace_id);

 private:
  io::Task<Result<GetAnswer>> get_either(std::span<const std::string_view> keys, bool exact);
  io::Task<> drop(std::vector<std::string_view> keys);
  [[nodiscard]] std::string key_of(std::string_view key, bool exact) const;

  std::shared_ptr<AnswerCache> cache_;
  std::string prefix_;
  Gets gets_;
  std::size_t dropped_ = 0;
};

}  // namespace sluice::store
