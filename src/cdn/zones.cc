#include "cdn/zones.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/percent.h"
#include "base/utf8.h"

namespace sluice::cdn {

namespace {

using store::cloudflare::Envelope;
using Kind = store::AnswerCache::Kind;

// How a zone was asked for: by its own name, or by that of a host in it.
constexpr std::string_view kByName = "name";
constexpr std::string_view kByHost = "host";

constexpr std::size_t kPerPage = 50;  // the most that the service takes
constexpr std::string_view kPermission = "read the zones (Zone, Read)";

std::string shown(std::string_view text) {
  return truncated_to_width(printable(text), 80);
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return result;
}

}  // namespace

bool is_zone_id(std::string_view text) {
  return text.size() == 32 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

std::vector<std::string> zone_names_of(std::string_view host) {
  std::vector<std::string> names;
  while (host.find('.') != std::string_view::npos) {
    names.push_back(lower(host));
    host.remove_prefix(host.find('.') + 1);
  }
  return names;
}

Zones::Zones(std::shared_ptr<store::cloudflare::Connection> connection, std::string account,
             std::shared_ptr<store::AnswerCache> cache)
    : connection_(std::move(connection)), account_(std::move(account)), cache_(std::move(cache)) {}

std::string Zones::cache_key(std::string_view kind, std::string_view name) const {
  const std::array<std::string_view, 4> texts{connection_->identity(), account_, kind, name};
  return "zone:" + store::digest(texts);
}

io::Task<std::vector<std::optional<Zone>>> Zones::recall(std::string_view kind,
                                                         std::span<const std::string> names) {
  std::vector<std::optional<Zone>> zones(names.size());
  if (!cache_) co_return zones;
  std::vector<std::string> keys;
  keys.reserve(names.size());
  for (const std::string& name : names) keys.push_back(cache_key(kind, name));
  const auto known = co_await cache_->get(Kind::look_ups, std::move(keys));
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!known[i] || known[i]->size() != 6 || known[i]->front().empty()) continue;
    const auto& fields = *known[i];
    zones[i] = Zone{.id = fields[0],
                    .name = fields[1],
                    .status = fields[2],
                    .plan = fields[3],
                    .account_id = fields[4],
                    .account_name = fields[5]};
  }
  co_return zones;
}

io::Task<> Zones::remember(std::string_view kind, const Found& zones) {
  if (!cache_) co_return;
  std::vector<store::AnswerCache::Answer> answers;
  for (const auto& [name, zone] : zones) {
    answers.push_back({.key = cache_key(kind, name),
                       .fields = {zone.id, zone.name, zone.status, zone.plan, zone.account_id,
                                  zone.account_name}});
  }
  co_await cache_->set(Kind::look_ups, std::move(answers));
}

io::Task<> Zones::forget(const Zone& zone) {
  if (!cache_) co_return;
  std::vector<std::string> keys{cache_key(kByName, lower(zone.name))};
  for (const std::string& host : recalled_hosts_) keys.push_back(cache_key(kByHost, host));
  co_await cache_->erase(Kind::look_ups, std::move(keys));
}

io::Task<Result<ZonePage>> Zones::page(std::string query, std::string doing) {
  const auto judge = [&](http::Response& response) -> Result<ZonePage> {
    ZonePage page;
    const Result<Envelope> envelope = read_zones(response.body, page);
    if (auto error = connection_->refusal(response, envelope, doing, kPermission)) {
      return std::unexpected(std::move(*error));
    }
    return page;
  };
  if (!account_.empty()) {
    query += "&account.id=";
    append_percent_encoded(query, account_);
  }
  http::Request request{.url = "/zones?" + query};
  co_return co_await connection_->session().call(std::move(request), judge);
}

io::Task<Result<>> Zones::read_next_page() {
  std::string query = fmt::format("page={}&per_page={}&order=name", pages_ + 1, kPerPage);
  auto next = co_await page(std::move(query), "listing the zones");
  if (!next) co_return std::unexpected(std::move(next.error()));
  ++pages_;
  if (next->total_count) total_ = next->total_count;
  bool any_new = false;
  for (Zone& zone : next->zones) {
    // Zones move between pages when one is added or removed meanwhile.
    if (std::ranges::find(seen_, zone.id, &Zone::id) != seen_.end()) continue;
    any_new = true;
    seen_.push_back(std::move(zone));
  }
  // A short page alone proves nothing: a service may give fewer than were asked for.
  all_seen_ = !any_new || (total_ && seen_.size() >= *total_);
  co_return Result<>();
}

io::Task<Result<>> Zones::read_all() {
  while (!all_seen_) {
    if (auto read = co_await read_next_page(); !read) co_return read;
  }
  co_return Result<>();
}

io::Task<Result<std::vector<Zone>>> Zones::list() {
  if (auto read = co_await read_all(); !read) co_return std::unexpected(std::move(read.error()));
  std::vector<Zone> zones = seen_;
  std::ranges::sort(zones, {}, &Zone::name);
  co_return zones;
}

Result<std::optional<Zone>> Zones::choose(std::vector<Zone> found, std::string_view name) const {
  std::erase_if(found, [&](const Zone& zone) { return lower(zone.name) != name; });
  // A domain that moves between accounts has a zone in both, of which one is active.
  if (found.size() > 1 && std::ranges::count(found, "active", &Zone::status) == 1) {
    std::erase_if(found, [](const Zone& zone) { return zone.status != "active"; });
  }
  if (found.empty()) return std::nullopt;
  if (found.size() == 1) return std::move(found.front());
  std::string ids;
  for (const Zone& zone : found) {
    ids += fmt::format("{}{} (account {})", ids.empty() ? "" : ", ", zone.id, zone.account_id);
  }
  return fail(ErrorCode::invalid_argument,
              "{} zones are called {}: {}. Name the one that is meant by its id.", found.size(),
              shown(name), ids);
}

io::Task<Result<std::optional<Zone>>> Zones::look_up(std::string name) {
  if (const auto known = by_name_.find(name); known != by_name_.end()) co_return known->second;
  const auto known = co_await recall(kByName, std::span(&name, 1));
  if (known.front()) {
    by_name_.emplace(std::move(name), known.front());
    co_return known.front();
  }
  auto found = co_await ask_for(name);
  if (found && *found) {
    Found one;
    one.emplace(std::move(name), **found);
    co_await remember(kByName, one);
  }
  co_return found;
}

io::Task<Result<std::optional<Zone>>> Zones::ask_for(std::string name) {
  if (const auto known = by_name_.find(name); known != by_name_.end()) co_return known->second;
  std::vector<Zone> found;
  if (all_seen_) {
    found = seen_;
  } else {
    std::string query = "name=";
    append_percent_encoded(query, name);
    query += fmt::format("&page=1&per_page={}", kPerPage);
    auto answer = co_await page(std::move(query), fmt::format("looking for zone {}", shown(name)));
    if (!answer) co_return std::unexpected(std::move(answer.error()));
    found = std::move(answer->zones);
  }
  auto chosen = choose(std::move(found), name);
  if (chosen) by_name_.emplace(std::move(name), *chosen);
  co_return chosen;
}

io::Task<Result<Zone>> Zones::get(std::string_view name_or_id) {
  if (!is_zone_id(name_or_id)) {
    auto found = co_await look_up(lower(name_or_id));
    if (!found) co_return std::unexpected(std::move(found.error()));
    if (*found) co_return std::move(**found);
    co_return fail(ErrorCode::not_found,
                   "these credentials see no zone \"{}\"; `sluice zones list` shows those that "
                   "they see",
                   shown(name_or_id));
  }
  const std::string doing = fmt::format("looking at zone {}", name_or_id);
  const auto judge = [&](http::Response& response) -> Result<Zone> {
    Zone zone;
    const Result<Envelope> envelope = read_zone(response.body, zone);
    if (auto error = connection_->refusal(response, envelope, doing, kPermission)) {
      return std::unexpected(std::move(*error));
    }
    return zone;
  };
  http::Request request{.url = fmt::format("/zones/{}", lower(name_or_id))};
  co_return co_await connection_->session().call(std::move(request), judge);
}

io::Task<Result<std::vector<Zone>>> Zones::resolve(std::span<const std::string> names_and_ids) {
  std::vector<Zone> zones;
  for (const std::string& text : names_and_ids) {
    Zone zone;
    if (is_zone_id(text)) {
      zone.id = lower(text);
    } else {
      auto found = co_await get(text);
      if (!found) co_return std::unexpected(std::move(found.error()));
      zone = std::move(*found);
    }
    const auto before = std::ranges::find(zones, zone.id, &Zone::id);
    if (before == zones.end()) {
      zones.push_back(std::move(zone));
    } else if (before->name.empty()) {
      *before = std::move(zone);
    }
  }
  co_return zones;
}

io::Task<Result<std::map<std::string, Zone, std::less<>>>> Zones::of_hosts(
    const std::set<std::string, std::less<>>& hosts) {
  const std::vector<std::string> all(hosts.begin(), hosts.end());
  const auto known = co_await recall(kByHost, all);
  Found zones;
  std::set<std::string, std::less<>> others;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (known[i]) {
      zones.emplace(all[i], *known[i]);
      recalled_hosts_.insert(all[i]);
    } else {
      others.insert(all[i]);
    }
  }
  if (others.empty()) co_return zones;
  auto found = co_await find_of_hosts(others);
  if (!found) co_return std::unexpected(std::move(found.error()));
  co_await remember(kByHost, *found);
  zones.merge(*found);
  co_return zones;
}

io::Task<Result<Zones::Found>> Zones::find_of_hosts(
    const std::set<std::string, std::less<>>& hosts) {
  std::set<std::string> names;
  for (const std::string& host : hosts) {
    for (std::string& name : zone_names_of(host)) names.insert(std::move(name));
  }
  // Looking up one by one takes at most a request for each name. The first page of the list takes
  // one, holds the zones of most people, and tells how many more it would take.
  if (names.size() > 1 && pages_ == 0) {
    if (auto read = co_await read_next_page(); !read) {
      co_return std::unexpected(std::move(read.error()));
    }
  }
  if (pages_ > 0 && total_ && (*total_ + kPerPage - 1) / kPerPage - pages_ <= names.size()) {
    if (auto read = co_await read_all(); !read) co_return std::unexpected(std::move(read.error()));
  }
  std::map<std::string, Zone, std::less<>> zones;
  for (const std::string& host : hosts) {
    for (std::string& name : zone_names_of(host)) {
      auto found = co_await ask_for(std::move(name));
      if (!found) co_return std::unexpected(std::move(found.error()));
      if (!*found) continue;
      zones.emplace(host, std::move(**found));
      break;
    }
  }
  co_return zones;
}

}  // namespace sluice::cdn
