// NamespaceTable: the namespaces of a store by the ids that clients know.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/task.h"
#include "store/store.h"

namespace sluice::server::cloudflare {

// The id of a namespace on the wire, 32 lower-case hexadecimal digits: the store's own id if it
// looks like that, else a hash of it, which is the same for as long as the store's id is.
[[nodiscard]] std::string wire_id(std::string_view store_id);
[[nodiscard]] bool is_wire_id(std::string_view text);

// Counts the changes that the loops of one server make to the namespaces, so that each loop's table
// learns of the others'. Thread-safe.
using NamespaceChanges = std::atomic<std::uint64_t>;

// Finds namespaces without asking the store each time, and keeps those used lately open. The table
// is filled from one listing, which a miss causes: however many requests name unknown ids, listings
// begin no more often than kListingPause, and all that wait share one that began after they came.
// So a namespace that exists is found, and one that does not is refused, also if another program
// changed them. An entry goes when the store says that the namespace is gone. Belongs to one loop.
class NamespaceTable {
 public:
  static constexpr std::size_t kMostOpen = 256;
  static constexpr std::chrono::milliseconds kListingPause{200};

  // `changes` may be null: then there is no other table. The backend outlives this.
  NamespaceTable(store::Backend& backend, std::shared_ptr<NamespaceChanges> changes)
      : backend_(backend), changes_(std::move(changes)) {}
  NamespaceTable(const NamespaceTable&) = delete;
  NamespaceTable& operator=(const NamespaceTable&) = delete;

  struct Place {
    std::string id;  // on the wire
    store::Namespace which;
    std::shared_ptr<store::Store> store;
  };
  // A Place stays valid for as long as its holder, and is not changed: a rename makes a new one.
  using PlacePtr = std::shared_ptr<const Place>;

  // What is known without asking anybody; null: nothing.
  [[nodiscard]] PlacePtr known(std::string_view id);
  // The same, and asks if need be. Null: there is no such namespace.
  io::Task<Result<PlacePtr>> find(std::string_view id);
  // The same with a title that was read no longer than `age` ago.
  io::Task<Result<PlacePtr>> find(std::string_view id, io::Clock::duration age);

  // All, as the store has them now, in the order of their titles, with the store's own ids.
  using Listing = std::shared_ptr<const std::vector<store::Namespace>>;
  io::Task<Result<Listing>> all() { return list(); }

  // The namespace is gone, as the store says.
  void forget(std::string_view id);
  // This loop has created, renamed or deleted one.
  void changed();

 private:
  struct Known {
    PlacePtr place;
    std::uint64_t used = 0;  // the tick of the last use; for open ones
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };

  void drop_if_changed();
  // A listing that begins now or later, which has filled the table.
  io::Task<Result<Listing>> list();
  io::Task<Result<Listing>> list_once();
  void fill(const std::vector<store::Namespace>& listed);
  PlacePtr open(Known& entry);

  store::Backend& backend_;
  std::shared_ptr<NamespaceChanges> changes_;
  std::uint64_t seen_changes_ = 0;
  std::unordered_map<std::string, Known, Hash, std::equal_to<>> known_;
  std::size_t open_ = 0;
  std::uint64_t tick_ = 0;

  // The last listing: when it began, and what came of it.
  io::Clock::time_point begun_{};
  Result<Listing> outcome_{nullptr};
  std::uint64_t filled_changes_ = 0;  // seen_changes_ when the table was filled
  bool listing_ = false;              // one is under way, or about to begin
  std::optional<io::Event> listed_;
};

}  // namespace sluice::server::cloudflare
