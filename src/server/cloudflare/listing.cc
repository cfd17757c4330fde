// The route that lists keys.
#include "base/utf8.h"
#include "server/cloudflare/api.h"
#include "server/cloudflare/cursor.h"
#include "server/cloudflare/query.h"
#include "server/cloudflare/text.h"

namespace sluice::server::cloudflare {

// What a client asked for.
struct Api::Listing {
  std::string prefix;
  std::size_t limit = 1000;
  std::string position;  // the store's cursor
  // Ours, not Cloudflare's (see seek_header): only keys greater than `after`, and up to `until`.
  std::string after;
  std::string until;
};

namespace {

constexpr std::int64_t kMostPieces = 1000;
constexpr std::int64_t kLeastLimit = 10;
constexpr std::int64_t kMostLimit = 1000;

// A store that gives short pages is asked this often for one of ours; then the client goes on.
constexpr int kMostStorePages = 16;

void write_keys(JsonWriter& json, const store::Block& entries, std::string& scratch) {
  for (const store::EntryView& entry : entries) {
    json.begin_object();
    json.name("name");
    json.string(as_text(entry.key, scratch));
    if (entry.expiration != 0) {
      json.name("expiration");
      json.number(entry.expiration);
    }
    if (!entry.metadata.empty()) {
      json.name("metadata");
      json.raw(entry.metadata);
    }
    json.end_object();
  }
}

// How many keys stand before it, and where the listing goes on.
void write_result_info(JsonWriter& json, std::size_t count, std::string_view cursor) {
  json.name("result_info");
  json.begin_object();
  json.name("count");
  json.number(static_cast<std::int64_t>(count));
  json.name("cursor");
  json.string(cursor);
  json.end_object();
}

}  // namespace

io::Task<Result<Response>> Api::list_keys(Call& call) {
  Listing asked;
  const auto query = Query::parse(call.request.query);
  if (!query) co_return refuse(400, Code::bad_limit, query.error().message);
  if (!query->find("limit").value_or("").empty()) {
    const auto limit = query->find_integer("limit");
    if (!limit || **limit < kLeastLimit || **limit > kMostLimit) {
      co_return refuse(400, Code::bad_limit,
                       fmt::format("limit must be from {} to {}", kLeastLimit, kMostLimit));
    }
    asked.limit = static_cast<std::size_t>(**limit);
  }
  asked.prefix = query->find("prefix").value_or("");
  if (asked.prefix.size() > kKeyBytes || !is_utf8(asked.prefix)) {
    co_return refuse(400, Code::bad_key,
                     fmt::format("prefix must be UTF-8 of at most {} bytes", kKeyBytes));
  }
  if (const std::string_view cursor = query->find("cursor").value_or(""); !cursor.empty()) {
    auto position = read_cursor(cursor, call.places[1], asked.prefix);
    if (!position) co_return refuse(400, Code::bad_cursor, position.error().message);
    asked.position = std::move(*position);
  }
  asked.after = query->find("after").value_or("");
  asked.until = query->find("until").value_or("");
  Found found = co_await find_namespace(call);
  if (!found) co_return std::move(found.error());
  const NamespaceTable::Place& place = **found;
  if ((!asked.after.empty() || !asked.until.empty()) && !place.store->capabilities().seekable) {
    co_return refuse(400, Code::bad_limit, "this store cannot list from a key on");
  }
  Answer answer = co_await list_answer(place, asked);
  if (!answer || settle(*answer)) co_return answer;
  const auto again = [&] { return list_answer(place, asked); };
  co_return co_await bounded(std::move(answer), again);
}

io::Task<Result<Response>> Api::list_answer(const NamespaceTable::Place& place,
                                            const Listing& asked) {
  // Names and punctuation of about this size, so that a full page is written without growing.
  constexpr std::size_t kBytesOfEntry = 128;
  const std::size_t store_page = std::max<std::size_t>(place.store->capabilities().list_page, 1);
  std::string position = asked.position;
  std::size_t count = 0;
  std::string scratch;
  std::string keys;
  JsonWriter json(keys);
  json.begin_array();
  for (int pages = 0; pages < kMostStorePages && count < asked.limit; ++pages) {
    const store::ListRequest request{.prefix = asked.prefix,
                                     .cursor = position,
                                     .after = asked.after,
                                     .until = asked.until,
                                     .limit = std::min(asked.limit - count, store_page)};
    auto page = co_await place.store->list(request);
    if (!page) {
      // A cursor of an older layout of the store, or one that it has forgotten.
      if (page.error().code == ErrorCode::invalid_argument && !position.empty()) {
        co_return refuse(400, Code::bad_cursor, "invalid cursor; start from the first page");
      }
      co_return failed(place, std::move(page.error()));
    }
    if (keys.capacity() < 1024) {
      keys.reserve(page->entries.bytes() + page->entries.size() * kBytesOfEntry);
    }
    write_keys(json, page->entries, scratch);
    count += page->entries.size();
    position = std::move(page->cursor);
    if (position.empty()) break;
  }
  json.end_array();
  const std::string cursor =
      position.empty() ? std::string() : make_cursor(place.id, asked.prefix, position);
  const auto write = [&](JsonWriter& out) {
    out.raw(keys);
    write_result_info(out, count, cursor);
  };
  co_return succeed(keys.size() + cursor.size() + 64, write);
}

// Not Cloudflare's: where a listing can be cut into pieces (see seek_header).
io::Task<Result<Response>> Api::split_keys(Call& call) {
  const auto query = Query::parse(call.request.query);
  if (!query) co_return refuse(400, Code::bad_limit, query.error().message);
  const auto parts = query->find_integer("parts");
  if (!parts || parts->value_or(0) < 1 || **parts > kMostPieces) {
    co_return refuse(400, Code::bad_limit, fmt::format("parts must be from 1 to {}", kMostPieces));
  }
  const std::string prefix(query->find("prefix").value_or(""));
  Found found = co_await find_namespace(call);
  if (!found) co_return std::move(found.error());
  const NamespaceTable::Place& place = **found;
  auto keys = co_await place.store->split(prefix, static_cast<std::size_t>(**parts));
  if (!keys) co_return failed(place, std::move(keys.error()));
  const auto write = [&](JsonWriter& json) {
    json.begin_array();
    std::size_t count = 0;
    for (const std::string& key : *keys) {
      if (!is_utf8(key)) continue;  // cannot be asked for; the pieces beside it become one
      ++count;
      json.begin_object();
      json.name("name");
      json.string(key);
      json.end_object();
    }
    json.end_array();
    write_result_info(json, count, {});
  };
  co_return succeed(keys->size() * 64, write);
}

}  // namespace sluice::server::cloudflare
