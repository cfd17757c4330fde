// The route that reads many values.
#include <algorithm>

#include "server/cloudflare/api.h"
#include "server/cloudflare/bulk_body.h"
#include "server/cloudflare/text.h"

namespace sluice::server::cloudflare {

namespace {

// Writing so much at a time keeps a loop from its other connections for a few milliseconds.
constexpr std::size_t kStretch = std::size_t{1} << 20;

Response too_large() {
  return refuse(413, Code::too_large,
                fmt::format("the values are larger than {} bytes in total; ask for fewer keys",
                            kBulkGetBytes));
}

// Writes what was found under one key. False: the value is not JSON, which was asked for.
bool write_value(JsonWriter& json, const store::EntryView& entry, bool as_json,
                 std::string& scratch) {
  if (!as_json) {
    json.string(as_text(entry.value, scratch));
    return true;
  }
  if (!is_json(entry.value)) return false;
  json.raw(entry.value);
  return true;
}

bool write_entry(JsonWriter& json, const store::EntryView& entry, const BulkGet& asked,
                 std::string& scratch) {
  json.key(entry.key);
  if (entry.presence != store::Presence::present) {
    json.null();
    return true;
  }
  if (!asked.with_metadata) return write_value(json, entry, asked.json, scratch);
  json.begin_object();
  json.name("value");
  if (!write_value(json, entry, asked.json, scratch)) return false;
  json.name("metadata");
  json.raw(entry.metadata.empty() ? "null" : entry.metadata);
  if (entry.expiration != 0) {
    json.name("expiration");
    json.number(entry.expiration);
  }
  json.end_object();
  return true;
}

}  // namespace

io::Task<Result<Response>> Api::bulk_get(Call& call) {
  const auto asked = parse_bulk_get(call.request.body);
  if (!asked) co_return asked.error().response();
  Found found = co_await find_namespace(call);
  if (!found) co_return std::move(found.error());
  const NamespaceTable::Place& place = **found;
  Answer answer = co_await bulk_get_answer(place, *asked);
  if (!answer || settle(*answer)) co_return answer;
  const auto again = [&] { return bulk_get_answer(place, *asked); };
  co_return co_await bounded(std::move(answer), again);
}

io::Task<Result<Response>> Api::bulk_get_answer(const NamespaceTable::Place& place,
                                                const BulkGet& asked) {
  const std::vector<std::string_view> keys(asked.keys.begin(), asked.keys.end());
  std::size_t most = std::max<std::size_t>(place.store->capabilities().get_keys, 1);
  std::size_t bytes = 0;
  std::size_t stretch = 0;  // bytes written since the others had their turn
  std::string values;
  std::string scratch;
  JsonWriter json(values);
  json.begin_object();
  for (std::size_t next = 0; next < keys.size();) {
    const auto part = std::span(keys).subspan(next, std::min(most, keys.size() - next));
    auto got = co_await place.store->get(part);
    if (!got && got.error().retry == Retry::smaller && part.size() > 1) {
      most = part.size() / 2;
      continue;
    }
    if (!got) co_return failed(place, std::move(got.error()));
    // A value that could not be read must not look like a key that is not there.
    if (!got->failed.empty()) co_return failed(place, std::move(got->failed.front().error));
    for (const store::EntryView& entry : got->entries) bytes += entry.value.size();
    if (bytes > kBulkGetBytes) co_return too_large();
    values.reserve(values.size() + got->entries.bytes() + 64 * part.size());
    for (const store::EntryView& entry : got->entries) {
      if (!write_entry(json, entry, asked, scratch)) {
        co_return refuse(400, Code::bad_body,
                         fmt::format("the value of the key \"{}\" is not JSON", entry.key));
      }
      stretch += entry.value.size();
      if (stretch > kStretch) {
        stretch = 0;
        co_await io::yield();
      }
    }
    next += part.size();
  }
  json.end_object();
  const auto write = [&](JsonWriter& out) {
    out.begin_object();
    out.name("values");
    out.raw(values);
    out.end_object();
  };
  co_return succeed(values.size() + 16, write);
}

}  // namespace sluice::server::cloudflare
