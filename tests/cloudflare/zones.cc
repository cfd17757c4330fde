#include "tests/cloudflare/zones.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "tests/cloudflare/api.h"
#include "tests/cloudflare/envelope.h"

namespace sluice::cloudflare_fake {
namespace {

constexpr std::array<std::string_view, 4> kinds = {"files", "tags", "hosts", "prefixes"};
constexpr std::size_t most_items = 100;
constexpr std::size_t most_files_of_enterprise = 500;
constexpr std::size_t longest_tag = 1024;

// Why the service refuses this item; empty: it does not.
std::string_view item_problem(std::string_view kind, const boost::json::value& item) {
  if (kind == "files") {
    const boost::json::value* url = &item;
    if (item.is_object()) url = item.as_object().if_contains("url");
    if (url == nullptr || !url->is_string()) return "a file is a URL, or an object with one";
    const std::string_view text = url->as_string();
    if (!text.starts_with("http://") && !text.starts_with("https://")) return "not a URL";
    return "";
  }
  if (!item.is_string() || item.as_string().empty()) return "an item is a text";
  const std::string_view text = item.as_string();
  if (kind == "tags" && text.size() > longest_tag) return "a tag is too long";
  if (kind != "tags" && text.find("://") != std::string_view::npos) return "an item has a scheme";
  return "";
}

void append_zone(std::string& out, const Zone& zone) {
  out += fmt::format(R"({{"id":"{}","name":"{}","status":"{}","paused":false,"type":"full",)"
                     R"("account":{{"id":"{}","name":"Test account"}},)"
                     R"("plan":{{"id":"0","name":"{} plan","price":0,"legacy_id":"{}"}}}})",
                     zone.id, zone.name, zone.status, zone.account, zone.plan, zone.plan);
}

}  // namespace

std::string zone_id_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return fmt::format("{:016x}{:016x}", hash, ~hash);
}

const Zone& Zones::add(std::string name, std::string plan, std::string account) {
  Zone zone{.id = zone_id_of(name), .name = std::move(name), .account = std::move(account)};
  if (!plan.empty()) zone.plan = std::move(plan);
  zones_.push_back(std::move(zone));
  return zones_.back();
}

const Zone* Zones::find(std::string_view id) const {
  const auto at = std::ranges::find(zones_, id, &Zone::id);
  return at == zones_.end() ? nullptr : &*at;
}

std::string Zones::purge(const Zone& zone, std::string_view body, bool apply) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(body, error);
  if (error || !value.is_object()) return "the body is not a JSON object";
  const boost::json::object& object = value.as_object();
  if (object.size() != 1) return "exactly one of purge_everything, files, tags, hosts, prefixes";
  const std::string kind(object.begin()->key());
  const boost::json::value& what = object.begin()->value();
  Purged ignored;
  Purged& purged = apply ? purged_[zone.name] : ignored;
  if (kind == "purge_everything") {
    if (!what.is_bool() || !what.as_bool()) return "purge_everything is true";
    ++purged.calls, ++purged.everything;
    return {};
  }
  if (std::ranges::find(kinds, kind) == kinds.end() || !what.is_array()) {
    return "exactly one of purge_everything, files, tags, hosts, prefixes";
  }
  const bool many = kind == "files" && zone.plan == "enterprise";
  const std::size_t items = what.as_array().size();
  if (items == 0 || items > (many ? most_files_of_enterprise : most_items)) {
    return fmt::format("{} items; 1 to {} are allowed", items,
                       many ? most_files_of_enterprise : most_items);
  }
  for (const auto& item : what.as_array()) {
    if (const auto problem = item_problem(kind, item); !problem.empty())
      return std::string(problem);
  }
  ++purged.calls;
  auto& list = purged.items[kind];
  for (const auto& item : what.as_array()) list.push_back(boost::json::serialize(item));
  return {};
}

std::vector<std::string> Zones::purged(std::string_view zone, std::string_view kind) const {
  const auto of_zone = purged_.find(zone);
  if (of_zone == purged_.end()) return {};
  const auto items = of_zone->second.items.find(kind);
  return items == of_zone->second.items.end() ? std::vector<std::string>() : items->second;
}

std::string Zones::to_json() const {
  std::string out = "{";
  for (const auto& [name, purged] : purged_) {
    if (out.size() > 1) out += ',';
    out +=
        fmt::format(R"("{}":{{"calls":{},"everything":{})", name, purged.calls, purged.everything);
    for (const auto& [kind, items] : purged.items) {
      out += fmt::format(R"(,"{}":[)", kind);
      for (std::size_t i = 0; i < items.size(); ++i) out += (i == 0 ? "" : ",") + items[i];
      out += ']';
    }
    out += '}';
  }
  return out + "}";
}

// --- the routes ---------------------------------------------------------------------------------

std::optional<Answer> Api::route_zone(Call& call, std::string_view path) {
  const std::string& method = call.request.method;
  const auto wrong_method = [] { return refuse(405, Code::no_route, "Method not allowed"); };
  path.remove_prefix(std::min(path.size(), std::string_view("/zones/").size()));
  call.zone_id = path.substr(0, path.find('/'));
  const std::string_view rest = path.substr(call.zone_id.size());
  if (call.zone_id.empty()) {
    call.route = method + " zones";
    if (method != "GET") return wrong_method();
    return std::nullopt;
  }
  const bool purge = rest == "/purge_cache";
  if (!purge && !rest.empty()) return refuse(404, Code::no_route, "Could not route there");
  call.route = method + (purge ? " purge_cache" : " zone");
  if (method != (purge ? "POST" : "GET")) return wrong_method();
  return std::nullopt;
}

Answer Api::list_zones(const Call& call) {
  const auto text = [&](std::string_view name) {
    const auto at = call.query.find(name);
    return at == call.query.end() ? std::string() : at->second;
  };
  const auto number = [&](std::string_view name, std::int64_t otherwise) {
    const std::string value = text(name);
    return value.empty() ? otherwise : parse_integer(value).value_or(-1);
  };
  const std::int64_t page = number("page", 1);
  const std::int64_t per_page = number("per_page", 20);
  if (page < 1 || per_page < 5 || per_page > 50) {
    return refuse(400, Code::bad_limit, "page is at least 1, and per_page from 5 to 50");
  }
  std::vector<const Zone*> found;
  for (const Zone& zone : zones_.all()) {
    if (const std::string name = text("name"); !name.empty() && name != zone.name) continue;
    if (const std::string of = text("account.id"); !of.empty() && of != zone.account) continue;
    found.push_back(&zone);
  }
  std::string result = "[";
  std::size_t count = 0;
  for (auto i = static_cast<std::size_t>((page - 1) * per_page);
       i < found.size() && count < static_cast<std::size_t>(per_page); ++i, ++count) {
    if (count > 0) result += ',';
    append_zone(result, *found[i]);
  }
  result += ']';
  return succeed(result, fmt::format(R"({{"page":{},"per_page":{},"count":{},"total_count":{},)"
                                     R"("total_pages":{}}})",
                                     page, per_page, count, found.size(),
                                     (found.size() + static_cast<std::size_t>(per_page) - 1) /
                                         static_cast<std::size_t>(per_page)));
}

Answer Api::zone_call(Call& call) {
  const Zone* const zone = zones_.find(call.zone_id);
  if (zone == nullptr) {
    return refuse(404, Code::no_route,
                  "Could not route to the zone, perhaps your object identifier is invalid?");
  }
  if (call.route == "GET zone") {
    std::string result;
    append_zone(result, *zone);
    return succeed(result);
  }
  // As the real one refuses a call for one of its items: with 200, and without its name.
  const FaultPlan& plan = faults_.plan();
  for (const std::string& item : plan.fail_items) {
    if (call.request.body.find(item) != std::string::npos) {
      return refuse(200, Code::bad_purge, "Unable to purge, please check the values you submitted");
    }
  }
  if (call.fault == Fault::none && purge_limit_.enabled() && purge_limit_.count(Clock::now())) {
    ++stats_.rate_limited;
    return refuse(429, Code::throttled, "Rate limit reached for cache purges");
  }
  const std::string problem = zones_.purge(*zone, call.request.body, true);
  if (!problem.empty()) return refuse(400, Code::bad_purge, problem);
  return succeed(fmt::format(R"({{"id":"{}"}})", zone->id));
}

}  // namespace sluice::cloudflare_fake
