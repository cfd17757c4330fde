#include "purge_zones.h"

#include <algorithm>
#include <utility>

#include "base/size.h"
#include "base/utf8.h"
#include "cdn/purge_item.h"

namespace sluice::cli {

namespace {
constexpr std::size_t kMostNames = 10;
}

std::vector<std::string> named_zones(const Context& context, const Invocation& invocation) {
  std::vector<std::string> texts;
  if (invocation.origin("zone").value_or(Origin::standard) <= Origin::environment) {
    texts = invocation.values("zone");
  } else if (auto setting = context.setting("CLOUDFLARE_ZONE_ID")) {
    texts.push_back(std::move(setting->value));
  }
  std::vector<std::string> zones;
  for (const std::string& text : texts) {
    for (const std::string_view zone : cdn::split_list(text)) zones.emplace_back(zone);
  }
  return zones;
}

cdn::Zones zones_of(const Invocation& invocation,
                    std::shared_ptr<store::cloudflare::Connection> connection,
                    std::shared_ptr<store::AnswerCache> cache) {
  // The setting of the account is about its key-value store.
  const bool given = invocation.origin("account").value_or(Origin::standard) <= Origin::environment;
  return cdn::Zones(std::move(connection),
                    given ? invocation.value("account").value_or("") : std::string(),
                    std::move(cache));
}

std::optional<cdn::Plan> named_plan(const Invocation& invocation) {
  const auto name = invocation.value("plan");
  return name ? cdn::parse_plan(*name) : std::nullopt;
}

std::string zone_names(std::span<const cdn::Zone> zones) {
  std::string text;
  for (const cdn::Zone& zone : zones.first(std::min(zones.size(), kMostNames))) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", printable(zone.label()));
  }
  if (zones.size() > kMostNames) {
    text += " and " + format_count(zones.size() - kMostNames, "more zone");
  }
  return text;
}

}  // namespace sluice::cli
