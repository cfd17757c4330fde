// Zones: the zones that the credentials can see.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cdn/zone.h"
#include "cdn/zone_answer.h"
#include "store/answer_cache.h"
#include "store/cloudflare/connection.h"

namespace sluice::cdn {

// Finds zones in as few requests as possible, and asks for nothing twice. Only reads. Belongs to
// one loop.
//
// With a cache, zones that were found by name or host are taken from it while they are fresh there;
// that there is no zone is asked anew each time, and so is the list of all zones. When the service
// does not know such a zone any more, say so with `forget`.
class Zones {
 public:
  // `account`: only the zones of this account; empty: of all.
  explicit Zones(std::shared_ptr<store::cloudflare::Connection> connection,
                 std::string account = {}, std::shared_ptr<store::AnswerCache> cache = nullptr);

  // All of them, in the order of their names, 50 a request.
  io::Task<Result<std::vector<Zone>>> list();
  // The zone with this name or id. Fails with `not_found`; with `invalid_argument` where several
  // accounts have a zone of this name.
  io::Task<Result<Zone>> get(std::string_view name_or_id);
  // The zones of these names and ids, each once, in their order. An id needs no request, and
  // nothing but the id is known of its zone then.
  io::Task<Result<std::vector<Zone>>> resolve(std::span<const std::string> names_and_ids);
  // The zone of each host: that of its own name, or of the nearest name above it. A host without
  // one is missing in the answer. Looks names up one by one, or reads the list of all zones,
  // whichever takes fewer requests.
  io::Task<Result<std::map<std::string, Zone, std::less<>>>> of_hosts(
      const std::set<std::string, std::less<>>& hosts);

  // Drops what the cache has said of the zone, by its name or by hosts.
  io::Task<> forget(const Zone& zone);

 private:
  using Found = std::map<std::string, Zone, std::less<>>;
  [[nodiscard]] std::string cache_key(std::string_view kind, std::string_view name) const;
  // What the cache knows of these names; nothing without one.
  io::Task<std::vector<std::optional<Zone>>> recall(std::string_view kind,
                                                    std::span<const std::string> names);
  io::Task<> remember(std::string_view kind, const Found& zones);
  io::Task<Result<std::optional<Zone>>> ask_for(std::string name);
  io::Task<Result<Found>> find_of_hosts(const std::set<std::string, std::less<>>& hosts);
  io::Task<Result<ZonePage>> page(std::string query, std::string doing);
  // Goes on with the list of all zones behind `seen_`.
  io::Task<Result<>> read_all();
  io::Task<Result<>> read_next_page();
  // What is known of a name after at most one request.
  io::Task<Result<std::optional<Zone>>> look_up(std::string name);
  [[nodiscard]] Result<std::optional<Zone>> choose(std::vector<Zone> found,
                                                   std::string_view name) const;

  std::shared_ptr<store::cloudflare::Connection> connection_;
  std::string account_;
  std::shared_ptr<store::AnswerCache> cache_;
  std::set<std::string> recalled_hosts_;
  std::vector<Zone> seen_;  // of the list, page by page
  std::size_t pages_ = 0;
  std::optional<std::uint64_t> total_;
  bool all_seen_ = false;
  std::map<std::string, std::optional<Zone>, std::less<>> by_name_;
};

// Whether `text` is an id: 32 hexadecimal digits.
[[nodiscard]] bool is_zone_id(std::string_view text);

// The names that a host's zone can have, nearest first: a.b.example.com, b.example.com,
// example.com. A name without a dot is none.
[[nodiscard]] std::vector<std::string> zone_names_of(std::string_view host);

}  // namespace sluice::cdn
