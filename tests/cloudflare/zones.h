// Zones: the fake's zones and what was purged from their caches.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::cloudflare_fake {

struct Zone {
  std::string id;
  std::string name;
  std::string status = "active";
  std::string plan = "enterprise";  // as plan.legacy_id
  std::string account;
};

// What the purges of one zone have taken away, in the order of the calls. `items[kind]` are JSON
// texts as they came.
struct Purged {
  std::uint64_t calls = 0;       // that were applied
  std::uint64_t everything = 0;  // of these, with purge_everything
  std::map<std::string, std::vector<std::string>, std::less<>> items;
};

class Zones {
 public:
  // The id is made of the name, so that tests can tell it without asking.
  const Zone& add(std::string name, std::string plan, std::string account);
  [[nodiscard]] const Zone* find(std::string_view id) const;
  [[nodiscard]] const std::vector<Zone>& all() const { return zones_; }

  // Takes a purge, which the service's rules allow; `body` is the JSON of the request. Returns why
  // it is refused, or "".
  std::string purge(const Zone& zone, std::string_view body, bool apply);
  // {"example.com":{"calls":…,"everything":…,"tags":[…]},…}
  [[nodiscard]] std::string to_json() const;
  // The items of one kind that were purged from the zone of this name, as JSON.
  [[nodiscard]] std::vector<std::string> purged(std::string_view zone, std::string_view kind) const;
  void forget() { purged_.clear(); }

 private:
  std::vector<Zone> zones_;
  std::map<std::string, Purged, std::less<>> purged_;  // by the zone's name
};

// The id that a zone of this name has: 32 hexadecimal digits.
[[nodiscard]] std::string zone_id_of(std::string_view name);

}  // namespace sluice::cloudflare_fake
