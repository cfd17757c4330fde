// The routes that write many keys.
#include <algorithm>

#include "server/cloudflare/api.h"
#include "server/cloudflare/bulk_body.h"

namespace sluice::server::cloudflare {

namespace {

// Parsing so much at a time keeps a loop from its other connections for about a millisecond.
constexpr std::size_t kStretch = std::size_t{1} << 20;

// How a bulk write goes on.
struct Progress {
  std::size_t next = 0;  // those before are done or failed
  std::vector<std::string_view> unsuccessful;
};

Response bulk_response(const Progress& progress) {
  std::size_t bytes = 64;
  for (const std::string_view key : progress.unsuccessful) bytes += key.size() + 4;
  return succeed(bytes, [&](JsonWriter& json) {
    json.begin_object();
    json.name("successful_key_count");
    json.number(static_cast<std::int64_t>(progress.next - progress.unsuccessful.size()));
    json.name("unsuccessful_keys");
    json.begin_array();
    for (const std::string_view key : progress.unsuccessful) json.string(key);
    json.end_array();
    json.end_object();
  });
}

std::string_view key_of(const store::EntryView& entry) {
  return entry.key;
}
std::string_view key_of(std::string_view key) {
  return key;
}

// How many of `items` one call to the store may carry.
std::size_t portion(std::span<const store::EntryView> items, const store::Capabilities& can) {
  std::size_t count = 0;
  std::size_t bytes = 0;
  while (count < items.size() && count < can.put_entries) {
    const store::EntryView& entry = items[count];
    bytes += entry.key.size() + entry.value.size() + entry.metadata.size();
    if (count > 0 && bytes > can.put_bytes) break;
    ++count;
  }
  return std::max<std::size_t>(count, 1);
}
std::size_t portion(std::span<const std::string_view> items, const store::Capabilities& can) {
  return std::clamp<std::size_t>(can.erase_keys, 1, items.size());
}

// Hands all `items` to `write` in portions that the store takes. When a portion fails as a whole
// after others were written, the rest are unsuccessful, which a client tries again; when it is the
// first one, so does the call.
template <class Item, class Write>
io::Task<Result<Progress>> write_all(std::span<const Item> items, const store::Capabilities& can,
                                     Log* log, Write write) {
  Progress progress;
  std::size_t most = items.size();
  while (progress.next < items.size()) {
    const auto rest = items.subspan(progress.next);
    const auto part = rest.first(std::min(portion(rest, can), most));
    Result<store::WriteAnswer> answer = co_await write(part);
    if (!answer && answer.error().retry == Retry::smaller && part.size() > 1) {
      most = part.size() / 2;
      continue;
    }
    if (!answer) {
      if (progress.next == 0 || answer.error().code == ErrorCode::not_found) {
        co_return std::unexpected(std::move(answer.error()));
      }
      if (log != nullptr) log->warn("a bulk write was left undone: {}", answer.error().message);
      for (const Item& item : rest) progress.unsuccessful.push_back(key_of(item));
      progress.next = items.size();
      break;
    }
    for (const store::KeyFailure& failure : answer->failed) {
      if (log != nullptr) log->warn("a key was not written: {}", failure.error.message);
      progress.unsuccessful.push_back(key_of(part[failure.index]));
    }
    progress.next += part.size();
  }
  co_return progress;
}

// Reads the whole body.
io::Task<Checked<>> read_all(BulkReader& reader) {
  for (;;) {
    const Checked<bool> more = reader.read(kStretch);
    if (!more) co_return std::unexpected(more.error());
    if (!*more) co_return Checked<>();
    co_await io::yield();
  }
}

}  // namespace

io::Task<Result<Response>> Api::bulk_put(Call& call) {
  Found found = co_await find_namespace(call);
  if (!found) co_return std::move(found.error());
  const NamespaceTable::Place& place = **found;
  PairReader reader(call.request.body, now());
  // Nothing is written before everything has been checked.
  const Checked<> read = co_await read_all(reader);
  if (!read) co_return read.error().response();
  const std::span<const store::EntryView> entries = reader.entries();
  const auto write = [&](std::span<const store::EntryView> part) { return place.store->put(part); };
  auto progress = co_await write_all(entries, place.store->capabilities(), options_.log, write);
  if (!progress) co_return failed(place, std::move(progress.error()));
  co_return bulk_response(*progress);
}

io::Task<Result<Response>> Api::bulk_delete(Call& call) {
  Found found = co_await find_namespace(call);
  if (!found) co_return std::move(found.error());
  const NamespaceTable::Place& place = **found;
  KeyReader reader(call.request.body);
  const Checked<> read = co_await read_all(reader);
  if (!read) co_return read.error().response();
  const std::span<const std::string_view> keys = reader.keys();
  const auto write = [&](std::span<const std::string_view> part) {
    return place.store->erase(part);
  };
  auto progress = co_await write_all(keys, place.store->capabilities(), options_.log, write);
  if (!progress) co_return failed(place, std::move(progress.error()));
  co_return bulk_response(*progress);
}

}  // namespace sluice::server::cloudflare
