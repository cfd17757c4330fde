#include "server/cloudflare/namespaces.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

namespace sluice::server::cloudflare {

namespace {

// Under a storm of changes a listing is never the last word; then the newest one has to do.
constexpr int kMostListings = 3;

}  // namespace

bool is_wire_id(std::string_view text) {
  return text.size() == 32 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string wire_id(std::string_view store_id) {
  if (is_wire_id(store_id)) return std::string(store_id);
  const XXH128_hash_t hash = XXH3_128bits(store_id.data(), store_id.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

NamespaceTable::PlacePtr NamespaceTable::known(std::string_view id) {
  drop_if_changed();
  const auto found = known_.find(id);
  return found == known_.end() ? nullptr : open(found->second);
}

io::Task<Result<NamespaceTable::PlacePtr>> NamespaceTable::find(std::string_view id) {
  if (!is_wire_id(id)) co_return nullptr;
  PlacePtr place = known(id);
  for (int listings = 0; place == nullptr && listings < kMostListings; ++listings) {
    if (auto listed = co_await list(); !listed) co_return std::unexpected(listed.error());
    place = known(id);
    // Else the table was dropped after it had been filled, and says nothing.
    if (filled_changes_ == seen_changes_) break;
  }
  co_return place;
}

io::Task<Result<NamespaceTable::PlacePtr>> NamespaceTable::find(std::string_view id,
                                                                io::Clock::duration age) {
  if (is_wire_id(id) && io::Clock::now() - begun_ > age) {
    if (auto listed = co_await list(); !listed) co_return std::unexpected(listed.error());
  }
  co_return co_await find(id);
}

void NamespaceTable::forget(std::string_view id) {
  const auto found = known_.find(id);
  if (found == known_.end()) return;
  if (found->second.place->store != nullptr) --open_;
  known_.erase(found);
}

void NamespaceTable::changed() {
  if (changes_ != nullptr) {
    changes_->fetch_add(1);
  } else {
    ++seen_changes_;
    known_.clear();
    open_ = 0;
  }
}

void NamespaceTable::drop_if_changed() {
  if (changes_ == nullptr) return;
  const std::uint64_t now = changes_->load();
  if (now == seen_changes_) return;
  seen_changes_ = now;
  known_.clear();
  open_ = 0;
}

io::Task<Result<NamespaceTable::Listing>> NamespaceTable::list() {
  const io::Clock::time_point came = io::Clock::now();
  if (!listed_) listed_.emplace(co_await boost::asio::this_coro::executor);
  while (listing_) {
    co_await listed_->wait();
    if (begun_ >= came) co_return outcome_;
  }
  // Whatever ends this coroutine, the others go on.
  struct Turn {
    explicit Turn(NamespaceTable& the_table) : table(the_table) { table.listing_ = true; }
    ~Turn() {
      table.listing_ = false;
      table.listed_->notify_all();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    NamespaceTable& table;
  };
  const Turn turn(*this);
  const io::Clock::time_point may_begin = begun_ + kListingPause;
  if (begun_ != io::Clock::time_point() && came < may_begin) co_await io::sleep_until(may_begin);
  const io::Clock::time_point begin = io::Clock::now();
  outcome_ = co_await list_once();
  begun_ = begin;
  co_return outcome_;
}

io::Task<Result<NamespaceTable::Listing>> NamespaceTable::list_once() {
  for (int listings = 1;; ++listings) {
    drop_if_changed();
    const std::uint64_t changes = seen_changes_;
    auto listed = co_await backend_.namespaces();
    if (!listed) co_return std::unexpected(std::move(listed.error()));
    drop_if_changed();
    // What this server has changed meanwhile may be missing from the listing.
    if (seen_changes_ != changes && listings < kMostListings) continue;
    fill(*listed);
    co_return std::make_shared<const std::vector<store::Namespace>>(std::move(*listed));
  }
}

void NamespaceTable::fill(const std::vector<store::Namespace>& listed) {
  std::unordered_map<std::string, Known, Hash, std::equal_to<>> fresh;
  fresh.reserve(listed.size());
  open_ = 0;
  for (const store::Namespace& which : listed) {
    std::string id = wire_id(which.id);
    Known entry;
    if (const auto old = known_.find(id); old != known_.end() &&
                                          old->second.place->which.title == which.title &&
                                          old->second.place->which.id == which.id) {
      entry = old->second;
    } else {
      entry.place = std::make_shared<Place>(Place{id, which, nullptr});
    }
    if (entry.place->store != nullptr) ++open_;
    fresh.insert_or_assign(std::move(id), std::move(entry));
  }
  known_ = std::move(fresh);
  filled_changes_ = seen_changes_;
}

NamespaceTable::PlacePtr NamespaceTable::open(Known& entry) {
  entry.used = ++tick_;
  if (entry.place->store != nullptr) return entry.place;
  if (open_ >= kMostOpen) {
    Known* oldest = nullptr;
    for (auto& [id, other] : known_) {
      if (other.place->store == nullptr) continue;
      if (oldest == nullptr || other.used < oldest->used) oldest = &other;
    }
    // Those that use it still hold it.
    oldest->place =
        std::make_shared<Place>(Place{oldest->place->id, oldest->place->which, nullptr});
    --open_;
  }
  Place opened = *entry.place;
  opened.store = backend_.open(opened.which);
  entry.place = std::make_shared<Place>(std::move(opened));
  ++open_;
  return entry.place;
}

}  // namespace sluice::server::cloudflare
