// The route that reads many values.
#include <algorithm>

#include "base/utf8.h"
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

// How many bytes a string takes in JSON at most: exactly that, if it is UTF-8.
std::size_t json_size(std::string_view bytes) {
  std::size_t size = bytes.size() + 2;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    size += byte < 0x20 ? 5 : 0;  // \u001f
    size += byte == '"' || byte == '\\' ? 1 : 0;
  }
  if (is_utf8(bytes)) return size;
  for (const char c : bytes) size += static_cast<unsigned char>(c) >= 0x80 ? 2 : 0;  // U+FFFD
  return size;
}

// The same for all that is written of these entries.
std::size_t json_size(const store::Block& entries, const BulkGet& asked) {
  constexpr std::size_t kFrame = 96;  // names, punctuation, an expiry
  std::size_t size = 0;
  for (const store::EntryView& entry : entries) {
    size += kFrame + json_size(entry.key) + entry.metadata.size();
    size += asked.json ? entry.value.size() : json_size(entry.value);
  }
  return size;
}

}  // namespace

// What an answer is made in.
struct Api::Room {
  http::MemoryBudget::Lease lease;
  std::uint64_t missing = 0;  // not 0: the answer was not made, and would have needed so much
};

io::Task<Result<Response>> Api::bulk_get(Call& call) {
  const auto asked = parse_bulk_get(call.request.body);
  if (!asked) co_return asked.error().response();
  Found found = co_await find_namespace(call);
  if (!found) co_return std::move(found.error());
  const io::Clock::time_point until = io::Clock::now() + options_.patience;
  Room room;
  for (;;) {
    Answer answer = co_await bulk_get_answer(**found, *asked, room);
    if (room.missing == 0) co_return answer;
    // What it holds is given back while it waits, and counts as nothing that may not wait.
    room.lease = {};
    const bool waits = io::Clock::now() < until;
    if (!waits || !co_await options_.memory->cover(room.lease, room.missing, until)) {
      co_return no_room();
    }
    room.missing = 0;
  }
}

io::Task<Result<Response>> Api::bulk_get_answer(const NamespaceTable::Place& place,
                                                const BulkGet& asked, Room& room) {
  const std::vector<std::string_view> keys(asked.keys.begin(), asked.keys.end());
  std::size_t most = std::max<std::size_t>(place.store->capabilities().get_keys, 1);
  std::size_t bytes = 0;
  std::size_t stretch = 0;  // bytes written since the others had their turn
  std::string scratch;
  Response response;
  std::string& text = response.text;
  JsonWriter json(text);
  begin_success(json);
  json.begin_object();
  json.name("values");
  json.begin_object();
  for (std::size_t next = 0; next < keys.size();) {
    const auto part = std::span(keys).subspan(next, std::min(most, keys.size() - next));
    // Values that were read while the loop was busy wait for it, and nobody counts them: so only a
    // few of a store on this machine are asked for at once. A remote one is slower than the loop.
    io::Slots::Slot slot;
    if (!place.store->capabilities().remote) slot = co_await reads_.take();
    auto got = co_await place.store->get(part);
    if (!got && got.error().retry == Retry::smaller && part.size() > 1) {
      most = part.size() / 2;
      continue;
    }
    if (!got) co_return failed(place, std::move(got.error()));
    // A value that could not be read must not look like a key that is not there.
    if (!got->failed.empty()) co_return failed(place, std::move(got->failed.front().error));
    const store::Block& entries = got->entries;
    for (const store::EntryView& entry : entries) bytes += entry.value.size();
    if (bytes > kBulkGetBytes) co_return too_large();
    // What they are at least, before they are looked at: without room they are quickly gone.
    std::uint64_t needed = text.size() + 2 * entries.bytes();
    std::size_t written = 0;
    if (covers(room.lease, needed)) {
      written = text.size() + json_size(entries, asked);
      needed = written + entries.bytes();
    }
    if (!covers(room.lease, needed)) {
      room.missing = needed;
      co_return Answer();
    }
    slot.give_back();
    text.reserve(written + 16);
    for (const store::EntryView& entry : entries) {
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
  json.end_object();
  json.end_object();
  room.lease.shrink(text.size());
  response.memory = std::move(room.lease);
  co_return response;
}

}  // namespace sluice::server::cloudflare
