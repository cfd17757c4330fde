// sluice zones list|get
#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "commands.h"
#include "purge_zones.h"
#include "table.h"
#include "waiting.h"

namespace sluice::cli {

namespace {

boost::json::object zone_object(const cdn::Zone& zone) {
  return {{"id", zone.id},
          {"name", zone.name},
          {"status", zone.status},
          {"plan", zone.plan},
          {"account", {{"id", zone.account_id}, {"name", zone.account_name}}}};
}

std::string account_of(const cdn::Zone& zone) {
  return zone.account_name.empty() ? zone.account_id : zone.account_name;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
  return text;
}

io::Task<ExitCode> list(Context& context, const Invocation& invocation) {
  auto connection = store::cloudflare::Connection::open(context.store_environment());
  if (!connection) co_return report_error(context, connection.error());
  cdn::Zones directory = zones_of(invocation, *connection);
  auto listing = directory.list();
  const auto wire = [&connection] { return (*connection)->wire_stats(); };
  auto zones = co_await telling_obstacles(context, wire, std::move(listing));
  if (!zones) co_return report_error(context, zones.error());
  const std::string wanted = lower(invocation.value("name").value_or(""));
  std::erase_if(*zones, [&](const cdn::Zone& zone) {
    return lower(zone.name).find(wanted) == std::string::npos;
  });
  if (invocation.on("json")) {
    std::string lines;
    for (const cdn::Zone& zone : *zones) lines += boost::json::serialize(zone_object(zone)) + "\n";
    print(lines);
    co_return ExitCode::done;
  }
  Table table({{"ID"}, {"NAME"}, {"STATUS"}, {"PLAN"}, {"ACCOUNT"}});
  for (const cdn::Zone& zone : *zones) {
    table.add({zone.id, zone.name, zone.status, zone.plan, account_of(zone)});
  }
  print(table.text());
  if (table.empty()) {
    context.console.say("{}", wanted.empty()
                                  ? "these credentials see no zone"
                                  : "these credentials see no zone with this text in its name");
  }
  co_return ExitCode::done;
}

io::Task<ExitCode> get(Context& context, const Invocation& invocation) {
  auto connection = store::cloudflare::Connection::open(context.store_environment());
  if (!connection) co_return report_error(context, connection.error());
  cdn::Zones directory = zones_of(invocation, *connection);
  auto looking = directory.get(invocation.arguments().front());
  const auto wire = [&connection] { return (*connection)->wire_stats(); };
  const auto zone = co_await telling_obstacles(context, wire, std::move(looking));
  if (!zone) co_return report_error(context, zone.error());
  if (invocation.on("json")) {
    print(boost::json::serialize(zone_object(*zone)) + "\n");
    co_return ExitCode::done;
  }
  Table table({{""}, {""}});
  table.add({"id", zone->id});
  table.add({"name", zone->name});
  table.add({"status", zone->status});
  table.add({"plan", zone->plan});
  table.add({"account", account_of(*zone)});
  table.add({"account id", zone->account_id});
  const std::string text = table.text();
  print(text.substr(text.find('\n') + 1));
  co_return ExitCode::done;
}

}  // namespace

ExitCode run_zones_list(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(list(context, invocation));
}

ExitCode run_zones_get(Context& context, const Invocation& invocation) {
  const RunGuard guard = context.guard();
  return context.loop.run(get(context, invocation));
}

}  // namespace sluice::cli
