#include "cdn/zone_answer.h"

#include <array>
#include <string_view>
#include <utility>

#include "store/cloudflare/answer_walk.h"

namespace sluice::cdn {

namespace {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;
using store::cloudflare::each_field;
using store::cloudflare::each_item;
using store::cloudflare::Envelope;

// A text; null and other types are none.
error_code read_text(ondemand::value value, std::string& text) {
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  if (type != ondemand::json_type::string) return simdjson::SUCCESS;
  std::string_view view;
  if (const auto error = store::cloudflare::read_string(value, view)) return error;
  text = view;
  return simdjson::SUCCESS;
}

// The texts `fields` of an object, as pairs of name and place. What is no object has none.
template <class Fields>
error_code read_texts(ondemand::value value, const Fields& fields) {
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  if (type != ondemand::json_type::object) return simdjson::SUCCESS;
  return each_field(value, [&](std::string_view key, ondemand::value field) -> error_code {
    for (const auto& [name, place] : fields) {
      if (name == key) return read_text(field, *place);
    }
    return simdjson::SUCCESS;
  });
}

error_code read_zone_value(ondemand::value value, Zone& zone) {
  using Place = std::pair<std::string_view, std::string*>;
  const auto error =
      each_field(value, [&](std::string_view key, ondemand::value field) -> error_code {
        if (key == "id") return read_text(field, zone.id);
        if (key == "name") return read_text(field, zone.name);
        if (key == "status") return read_text(field, zone.status);
        if (key == "plan") return read_texts(field, std::array{Place{"legacy_id", &zone.plan}});
        if (key == "account") {
          return read_texts(
              field, std::array{Place{"id", &zone.account_id}, Place{"name", &zone.account_name}});
        }
        return simdjson::SUCCESS;
      });
  if (error) return error;
  return zone.id.empty() ? simdjson::NO_SUCH_FIELD : simdjson::SUCCESS;
}

}  // namespace

Result<Envelope> read_zones(std::string& body, ZonePage& page) {
  page = ZonePage();
  bool listed = false;
  const auto result = [&](ondemand::document&, ondemand::value value) {
    listed = true;
    return each_item(value, [&](ondemand::value item) {
      return read_zone_value(item, page.zones.emplace_back());
    });
  };
  const auto info = [&](std::string_view key, ondemand::value value) -> error_code {
    if (key == "total_count") return store::cloudflare::read_count(value, page.total_count);
    return simdjson::SUCCESS;
  };
  ondemand::parser parser;
  Result<Envelope> envelope = store::cloudflare::read_answer(parser, body, result, info);
  if (envelope && envelope->success && !listed) {
    return store::cloudflare::not_understood(simdjson::NO_SUCH_FIELD);
  }
  return envelope;
}

Result<Envelope> read_zone(std::string& body, Zone& zone) {
  zone = Zone();
  const auto result = [&](ondemand::document&, ondemand::value value) {
    return read_zone_value(value, zone);
  };
  ondemand::parser parser;
  Result<Envelope> envelope =
      store::cloudflare::read_answer(parser, body, result, store::cloudflare::no_info);
  if (envelope && envelope->success && zone.id.empty()) {
    return store::cloudflare::not_understood(simdjson::NO_SUCH_FIELD);
  }
  return envelope;
}

}  // namespace sluice::cdn
