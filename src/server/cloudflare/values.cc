// The routes of single keys.
#include <algorithm>

#include "server/cloudflare/api.h"
#include "server/cloudflare/multipart.h"
#include "server/cloudflare/query.h"

namespace sluice::server::cloudflare {

namespace {

Response key_not_found() {
  return refuse(404, Code::key_not_found, "get: 'key not found'");
}

Response done() {
  return succeed(2, [](JsonWriter& json) {
    json.begin_object();
    json.end_object();
  });
}

// Why a call about one key failed, as a whole or for the key; none: it did not.
template <class StoreAnswer>
std::optional<Error> failure_of(Result<StoreAnswer>& answer) {
  if (!answer) return std::move(answer.error());
  if (!answer->failed.empty()) return std::move(answer->failed.front().error);
  return std::nullopt;
}

// What a request to write a key gives it. The views are into the request.
struct Given {
  store::EntryView entry;
  std::string compact;  // see check_metadata
};

Checked<> read_form(const http::ServerRequest& request, std::string_view type, Given& given) {
  const auto parts = parse_form(type, request.body);
  if (!parts) return std::unexpected(Refused{400, Code::bad_body, parts.error().message});
  bool has_value = false;
  bool has_metadata = false;
  for (const FormPart& part : *parts) {
    if (part.name != "value" && part.name != "metadata") continue;
    bool& has = part.name == "value" ? has_value : has_metadata;
    if (std::exchange(has, true)) {
      return std::unexpected(
          Refused{400, Code::bad_body, fmt::format("the form has two parts named {}", part.name)});
    }
    if (part.name == "value") {
      given.entry.value = part.content;
      continue;
    }
    const auto metadata = check_metadata(part.content, given.compact);
    if (!metadata) return std::unexpected(metadata.error());
    given.entry.metadata = *metadata;
  }
  if (has_value) return {};
  return std::unexpected(Refused{400, Code::bad_body, "the form needs a part named value"});
}

Checked<> read_expiration(std::string_view text, std::int64_t now, Given& given) {
  const auto refused = [](const Error& error) {
    return std::unexpected(Refused{400, Code::bad_expiration, error.message});
  };
  const auto query = Query::parse(text);
  if (!query) return refused(query.error());
  const auto moment = query->find_integer("expiration");
  if (!moment) return refused(moment.error());
  const auto ttl = query->find_integer("expiration_ttl");
  if (!ttl) return refused(ttl.error());
  const auto expiration = check_expiration(*moment, *ttl, now);
  if (!expiration) return std::unexpected(expiration.error());
  given.entry.expiration = *expiration;
  return {};
}

}  // namespace

io::Task<Result<Response>> Api::get_value(Call& call) {
  const std::string_view key = call.places[2];
  if (const auto checked = check_key(key); !checked) co_return checked.error().response();
  NamespaceTable::PlacePtr place = known_namespace(call);
  if (place == nullptr) {
    Found found = co_await find_namespace(call);
    if (!found) co_return std::move(found.error());
    place = std::move(*found);
  }
  Answer answer = co_await value_answer(*place, key);
  if (!answer || settle(*answer)) co_return answer;
  const auto again = [&] { return value_answer(*place, key); };
  co_return co_await bounded(std::move(answer), again);
}

io::Task<Result<Response>> Api::value_answer(const NamespaceTable::Place& place,
                                             std::string_view key) {
  const std::span<const std::string_view> keys(&key, 1);
  auto got = co_await place.store->get_exact(keys);
  if (auto error = failure_of(got)) co_return failed(place, std::move(*error));
  const auto block = std::make_shared<const store::Block>(std::move(got->entries));
  const store::EntryView& entry = (*block)[0];
  if (entry.presence != store::Presence::present) co_return key_not_found();
  Response response;
  response.content_type = "application/octet-stream";
  if (entry.expiration != 0) {
    response.headers.emplace_back("expiration", std::to_string(entry.expiration));
  }
  // The value goes to the socket from where the store has put it.
  response.outside = entry.value;
  response.owner = block;
  co_return response;
}

io::Task<Result<Response>> Api::put_value(Call& call) {
  Given given;
  store::EntryView& entry = given.entry;
  entry.key = call.places[2];
  entry.presence = store::Presence::present;
  if (const auto checked = check_key(entry.key); !checked) co_return checked.error().response();
  if (!call.request.query.empty()) {
    if (const auto read = read_expiration(call.request.query, now(), given); !read) {
      co_return read.error().response();
    }
  }
  const std::string_view type = call.request.find("content-type").value_or("");
  if (is_form(type)) {
    if (const auto read = read_form(call.request, type, given); !read) {
      co_return read.error().response();
    }
  } else {
    entry.value = call.request.body;
  }
  if (const auto checked = check_value_size(entry.value.size()); !checked) {
    co_return checked.error().response();
  }
  Found found = co_await find_namespace(call);
  if (!found) co_return std::move(found.error());
  const NamespaceTable::Place& place = **found;
  const std::span<const store::EntryView> entries(&entry, 1);
  auto written = co_await place.store->put(entries);
  if (auto error = failure_of(written)) co_return failed(place, std::move(*error));
  co_return done();
}

io::Task<Result<Response>> Api::delete_value(Call& call) {
  const std::string_view key = call.places[2];
  if (const auto checked = check_key(key); !checked) co_return checked.error().response();
  Found found = co_await find_namespace(call);
  if (!found) co_return std::move(found.error());
  const NamespaceTable::Place& place = **found;
  const std::span<const std::string_view> keys(&key, 1);
  auto erased = co_await place.store->erase(keys);
  if (auto error = failure_of(erased)) co_return failed(place, std::move(*error));
  co_return done();
}

io::Task<Result<Response>> Api::get_metadata(Call& call) {
  const std::string_view key = call.places[2];
  if (const auto checked = check_key(key); !checked) co_return checked.error().response();
  Found found = co_await find_namespace(call);
  if (!found) co_return std::move(found.error());
  const NamespaceTable::Place& place = **found;
  const std::span<const std::string_view> keys(&key, 1);
  auto got = co_await place.store->get(keys);
  if (auto error = failure_of(got)) co_return failed(place, std::move(*error));
  const store::EntryView& entry = got->entries[0];
  if (entry.presence != store::Presence::present) co_return key_not_found();
  const std::string_view metadata = entry.metadata.empty() ? "null" : entry.metadata;
  const auto write = [&](JsonWriter& json) { json.raw(metadata); };
  co_return succeed(metadata.size(), write);
}

}  // namespace sluice::server::cloudflare
