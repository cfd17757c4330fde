#include "store/cloudflare/kv_store.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "base/percent.h"
#include "base/utf8.h"
#include "io/task_group.h"
#include "store/cloudflare/list_cursor.h"
#include "store/limits.h"

namespace sluice::store::cloudflare {

namespace {

// https://developers.cloudflare.com/kv/platform/limits/ and the API reference of the bulk calls.
constexpr std::size_t most_list = 1000;
constexpr std::size_t least_list = 10;
constexpr std::size_t most_parts = 1000;  // of our own server
// Begins a cursor that is a key, which only a service that can seek is given; no service's cursor
// begins so, since those go into URLs.
constexpr char kKeyCursor = '>';
constexpr std::size_t most_put_text = 99'000'000;  // 100 MB less a margin for what counts as 100 MB

constexpr int key_not_found = 10009;

// What a decoder writes for bytes that are not UTF-8.
constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

std::string shown(std::string_view text) {
  return truncated_to_width(printable(text), 80);
}

Result<> check_kv_key(std::string_view key) {
  if (auto checked = check_key(kv_capabilities(), key); !checked) return checked;
  if (key == "." || key == "..") {
    return fail(ErrorCode::invalid_argument,
                "the key \"{}\" is not allowed by Cloudflare, since it means something in a path. "
                "Rename it.",
                key);
  }
  return {};
}

KeyFailure failed_key(std::size_t index, ErrorCode code, std::string message) {
  return {index, Error{code, Retry::again, std::nullopt, std::move(message)}};
}

// The error of a whole request as that of one of its keys, which cannot be made smaller.
Error for_one_key(const Error& error) {
  Error one = error;
  if (one.retry == Retry::smaller) one.retry = Retry::again;
  return one;
}

// Whether the failure of one request is that of all: then it is no key's failure.
bool ends_the_run(const Error& error) {
  return error.retry == Retry::fatal || error.code == ErrorCode::interrupted ||
         error.code == ErrorCode::deadline;
}

// The places of the distinct valid keys of a call, and those that repeat them.
struct Distinct {
  std::vector<std::string_view> keys;
  std::vector<std::size_t> places;
  std::vector<std::pair<std::size_t, std::size_t>> repeats;  // place, and index in `keys`
  std::unordered_map<std::string_view, std::size_t> index;   // in `keys`
};

Distinct distinct_keys(std::span<const std::string_view> keys, std::vector<KeyFailure>& failed) {
  Distinct distinct;
  distinct.keys.reserve(keys.size());
  distinct.places.reserve(keys.size());
  distinct.index.reserve(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (auto checked = check_kv_key(keys[i]); !checked) {
      failed.push_back({i, std::move(checked.error())});
      continue;
    }
    const auto [place, is_new] = distinct.index.emplace(keys[i], distinct.keys.size());
    if (!is_new) {
      distinct.repeats.emplace_back(i, place->second);
      continue;
    }
    distinct.keys.push_back(keys[i]);
    distinct.places.push_back(i);
  }
  return distinct;
}

}  // namespace

const Capabilities& kv_capabilities() {
  static constexpr Capabilities capabilities{.list_page = most_list,
                                             .get_keys = 100,
                                             .put_entries = 10'000,
                                             .put_bytes = 90'000'000,
                                             .erase_keys = 10'000,
                                             .key_bytes = 512,
                                             .value_bytes = 25u << 20,
                                             .metadata_bytes = 1024,
                                             .least_ttl = 60,
                                             .keys_are_utf8 = true,
                                             .ordered = true,
                                             .seekable = false,
                                             .lists_values = false,
                                             .exact_get = false,
                                             .remote = true};
  return capabilities;
}

KvStore::KvStore(std::shared_ptr<const Account> account, const Namespace& which)
    : account_(std::move(account)),
      capabilities_(kv_capabilities()),
      path_(account_->namespaces_path + "/"),
      title_(shown(which.title.empty() ? which.id : which.title)) {
  append_percent_encoded(path_, which.id);
  capabilities_.seekable = account_->connection->can_seek();
}

std::string KvStore::path(std::string_view call, std::string_view key) const {
  std::string path = path_;
  path += call;
  append_percent_encoded(path, key);
  return path;
}

std::string KvStore::doing(std::string_view what) const {
  return fmt::format("{} namespace \"{}\"", what, title_);
}

io::Task<Result<ListPage>> KvStore::fetch_keys(std::string url, std::string_view prefix,
                                               std::string_view from) {
  const std::string what = doing("listing the keys of");
  const auto judge = [&](http::Response& response) -> Result<ListPage> {
    const auto wrong = [&](std::string_view reason) {
      return fail(ErrorCode::protocol, Retry::again,
                  "Cloudflare's answer while {} does not add up: {}. Try again later.", what,
                  reason);
    };
    ListPage page;
    const Result<Envelope> envelope = account_->connection->parser().list_page(response.body, page);
    if (auto error = account_->connection->refusal(response, envelope, what)) {
      return std::unexpected(std::move(*error));
    }
    if (page.count && *page.count != page.entries.size()) {
      return wrong(fmt::format("it says {} keys and holds {}", *page.count, page.entries.size()));
    }
    if (!page.cursor.empty() && page.cursor == from) {
      return wrong("its cursor leads back to the same page");
    }
    for (const EntryView& entry : page.entries) {
      // Else a deletion by prefix would take keys of other prefixes.
      if (!entry.key.starts_with(prefix)) return wrong("it holds keys without the prefix");
    }
    return page;
  };
  co_return co_await account_->connection->session().call(http::Request{.url = std::move(url)},
                                                          judge);
}

io::Task<Result<std::vector<std::string>>> KvStore::split(std::string_view prefix,
                                                          std::size_t parts) {
  std::vector<std::string> keys;
  if (!capabilities_.seekable || parts < 2) co_return keys;
  std::string url = path("/keys/split") + fmt::format("?parts={}", std::min(parts, most_parts));
  if (!prefix.empty()) append_percent_encoded(url += "&prefix=", prefix);
  Result<ListPage> answer = co_await fetch_keys(std::move(url), prefix, {});
  if (!answer) co_return std::unexpected(std::move(answer.error()));
  for (const EntryView& entry : answer->entries) {
    // What is out of order would make pieces that overlap.
    if (keys.empty() || keys.back() < entry.key) keys.emplace_back(entry.key);
  }
  if (keys.size() >= parts) keys.resize(parts - 1);
  co_return keys;
}

io::Task<Result<Page>> KvStore::list(ListRequest request) {
  const std::size_t limit = request.limit == 0 ? most_list : std::min(request.limit, most_list);
  ListCursor from;
  std::string after(request.after);
  if (capabilities_.seekable && request.cursor.starts_with(kKeyCursor)) {
    auto key = key_of_cursor(request.cursor.substr(1));
    if (!key) co_return std::unexpected(std::move(key.error()));
    after = std::move(*key);
  } else {
    from = ListCursor::parse(request.cursor);
  }
  const std::size_t asked = std::clamp(limit + from.skip, least_list, most_list);

  std::string url = path("/keys") + fmt::format("?limit={}", asked);
  if (!request.prefix.empty()) append_percent_encoded(url += "&prefix=", request.prefix);
  if (!from.service.empty()) append_percent_encoded(url += "&cursor=", from.service);
  if (capabilities_.seekable) {
    if (from.service.empty() && !after.empty()) append_percent_encoded(url += "&after=", after);
    if (!request.until.empty()) append_percent_encoded(url += "&until=", request.until);
  }
  Result<ListPage> answer = co_await fetch_keys(std::move(url), request.prefix, from.service);
  if (!answer) co_return std::unexpected(std::move(answer.error()));

  Page page;
  const std::size_t received = answer->entries.size();
  const std::size_t begin = std::min(from.skip, received);
  const std::size_t end = request.limit == 0 ? received : std::min(received, begin + limit);
  if (begin == 0 && end == received) {
    page.entries = std::move(answer->entries);
  } else {
    for (std::size_t i = begin; i < end; ++i) page.entries.append(answer->entries[i]);
  }
  if (end == received) {
    page.cursor = ListCursor{answer->cursor, 0}.text();
  } else if (capabilities_.seekable && !page.entries.empty()) {
    // To skip from the page's beginning would need to know what `after` was.
    page.cursor = kKeyCursor + cursor_of_key(page.entries[page.entries.size() - 1].key);
  } else {
    page.cursor = ListCursor{from.service, end}.text();
  }
  co_return page;
}

io::Task<Result<GetAnswer>> KvStore::get(std::span<const std::string_view> keys) {
  return get_batch(keys, Exact::where_in_doubt);
}

io::Task<Result<GetAnswer>> KvStore::get_exact(std::span<const std::string_view> keys) {
  return get_batch(keys, Exact::all);
}

io::Task<Result<GetAnswer>> KvStore::get_metadata(std::span<const std::string_view> keys) {
  return get_batch(keys, Exact::none);
}

io::Task<Result<GetAnswer>> KvStore::get_batch(std::span<const std::string_view> keys,
                                               Exact exact) {
  if (auto checked = check_get(kv_capabilities(), keys); !checked) {
    co_return std::unexpected(std::move(checked.error()));
  }
  GetAnswer answer;
  const Distinct distinct = distinct_keys(keys, answer.failed);
  Block found;
  if (!distinct.keys.empty()) {
    Result<Block> got = co_await bulk_get(distinct.keys);
    if (!got && distinct.keys.size() == 1 &&
        (got.error().retry == Retry::smaller || got.error().code == ErrorCode::too_large)) {
      // A value near the limit of 25 MiB does not fit a bulk answer of 25 MB.
      got = co_await get_alone(distinct.keys.front());
      exact = Exact::none;
    }
    if (!got) co_return std::unexpected(std::move(got.error()));
    found = std::move(*got);
  }
  if (found.size() == keys.size()) {
    answer.entries = std::move(found);
  } else {
    // Some keys are invalid or repeated.
    answer.entries.reserve(keys.size());
    for (const std::string_view key : keys) {
      const auto place = distinct.index.find(key);
      answer.entries.append(
          place != distinct.index.end()
              ? found[place->second]
              : EntryView{.key = key, .value = {}, .metadata = {}, .presence = Presence::failed});
    }
  }

  io::TaskGroup group(account_->connection->executor(), account_->connection->concurrency());
  for (const std::size_t place : distinct.places) {
    const EntryView& entry = answer.entries[place];
    if (entry.presence == Presence::failed) {
      answer.failed.push_back(failed_key(place, ErrorCode::protocol,
                                         "Cloudflare's answer left out the key. Try it again."));
    } else if (entry.presence == Presence::present &&
               (exact == Exact::all ||
                (exact == Exact::where_in_doubt &&
                 entry.value.find(replacement_character) != std::string_view::npos))) {
      co_await group.spawn(fetch_exactly(answer, place));
    }
  }
  co_await group.join();
  for (const KeyFailure& failure : answer.failed) {
    if (ends_the_run(failure.error)) co_return std::unexpected(failure.error);
  }
  for (const auto& [place, index] : distinct.repeats) {
    const std::size_t first = distinct.places[index];
    answer.entries[place] = answer.entries[first];
    const auto failure = std::ranges::find(answer.failed, first, &KeyFailure::index);
    if (failure != answer.failed.end()) {
      Error error = failure->error;
      answer.failed.push_back({place, std::move(error)});
    }
  }
  co_return answer;
}

io::Task<Result<Block>> KvStore::bulk_get(std::span<const std::string_view> keys) {
  const std::string what = doing("getting values of");
  const auto judge = [&](http::Response& response) -> Result<Block> {
    Block entries;
    const Result<Envelope> envelope =
        account_->connection->parser().bulk_get(response.body, keys, entries);
    if (auto error = account_->connection->refusal(response, envelope, what)) {
      return std::unexpected(std::move(*error));
    }
    return entries;
  };
  http::Request request{.method = "POST",
                        .url = path("/bulk/get"),
                        .body = get_text(keys),
                        .content_type = "application/json",
                        .divisible = keys.size() > 1};
  co_return co_await account_->connection->session().call(std::move(request), judge);
}

io::Task<Result<Block>> KvStore::get_alone(std::string_view key) {
  Result<std::optional<Value>> value = co_await fetch_value(key);
  if (!value) co_return std::unexpected(std::move(value.error()));
  Block block;
  EntryView entry{.key = key, .value = {}, .metadata = {}, .presence = Presence::missing};
  std::string metadata;
  if (*value) {
    Result<std::string> fetched = co_await fetch_metadata(key);
    if (!fetched) co_return std::unexpected(std::move(fetched.error()));
    metadata = std::move(*fetched);
    entry.presence = Presence::present;
    entry.value = (*value)->bytes;
    entry.metadata = metadata;
    entry.expiration = (*value)->expiration;
  }
  block.append(entry);
  co_return block;
}

io::Task<Result<std::optional<KvStore::Value>>> KvStore::fetch_value(std::string_view key) {
  const std::string what =
      fmt::format("getting the value of \"{}\" in namespace \"{}\"", shown(key), title_);
  const auto judge = [&](http::Response& response) -> Result<std::optional<Value>> {
    if (response.status != 200) {
      const Result<Envelope> envelope = account_->connection->parser().envelope(response.body);
      if (response.status == 404 && envelope && envelope->code == key_not_found)
        return std::nullopt;
      auto error = account_->connection->refusal(response, envelope, what);
      // A success without a value (204) is none.
      if (!error) error = account_->connection->session().status_error(response, what);
      return std::unexpected(std::move(*error));
    }
    Value value{.bytes = std::move(response.body)};
    if (const auto text = response.headers.find("expiration")) {
      std::from_chars(text->data(), text->data() + text->size(), value.expiration);
    }
    return value;
  };
  co_return co_await account_->connection->session().call(
      http::Request{.url = path("/values/", key), .route = "values"}, judge);
}

io::Task<Result<std::string>> KvStore::fetch_metadata(std::string_view key) {
  const std::string what =
      fmt::format("getting the metadata of \"{}\" in namespace \"{}\"", shown(key), title_);
  const auto judge = [&](http::Response& response) -> Result<std::string> {
    std::string metadata;
    const Result<Envelope> envelope =
        account_->connection->parser().metadata(response.body, metadata);
    if (auto error = account_->connection->refusal(response, envelope, what)) {
      return std::unexpected(std::move(*error));
    }
    return metadata;
  };
  co_return co_await account_->connection->session().call(
      http::Request{.url = path("/metadata/", key), .route = "metadata"}, judge);
}

io::Task<> KvStore::fetch_exactly(GetAnswer& answer, std::size_t index) {
  Result<std::optional<Value>> value = co_await fetch_value(answer.entries[index].key);
  EntryView& entry = answer.entries[index];
  if (!value) {
    entry.presence = Presence::failed;
    entry.value = {};
    answer.failed.push_back({index, for_one_key(value.error())});
  } else if (!*value) {
    // Deleted since the batch was answered.
    entry.presence = Presence::missing;
    entry.value = {};
  } else {
    entry.value = answer.entries.copy((*value)->bytes);
    if (entry.expiration == 0) entry.expiration = (*value)->expiration;
  }
}

io::Task<Result<BulkResult>> KvStore::bulk_write(http::Request request, std::size_t sent,
                                                 std::string_view what) {
  const auto judge = [&](http::Response& response) -> Result<BulkResult> {
    BulkResult result;
    const Result<Envelope> envelope =
        account_->connection->parser().bulk_write(response.body, result);
    auto error = account_->connection->refusal(response, envelope, what);
    // A failure may still say key by key what was done. Believed only if it accounts for every key.
    const bool tells_keys = envelope && !result.unsuccessful.empty() && result.successful &&
                            *result.successful > 0 && !is_known(envelope->code) &&
                            response.status != 429;
    if (error && !(tells_keys && adds_up(result, false, sent))) {
      return std::unexpected(std::move(*error));
    }
    if (!error && !adds_up(result, true, sent)) {
      return fail(
          ErrorCode::protocol, Retry::never,
          "Cloudflare's answer while {} does not add up: of {} keys it calls {} done and {} "
          "failed. Try again.",
          what, sent, result.successful.value_or(0), result.unsuccessful.size());
    }
    return result;
  };
  co_return co_await account_->connection->session().call(std::move(request), judge);
}

io::Task<Result<WriteAnswer>> KvStore::put(std::span<const EntryView> entries) {
  if (auto checked = check_put(kv_capabilities(), entries); !checked) {
    co_return std::unexpected(std::move(checked.error()));
  }
  const std::string what = doing("writing entries to");
  WriteAnswer answer;
  const std::vector<std::uint32_t> order =
      writable_in_key_order(kv_capabilities(), entries, unix_now(), answer.failed);
  std::unordered_map<std::string_view, std::size_t> places;
  std::vector<std::size_t> batch;  // places of what the next request carries
  std::size_t text_size = 2;
  for (const std::uint32_t place : order) {
    const EntryView& entry = entries[place];
    text_size += entry.key.size() + entry.value.size() + entry.metadata.size() + 64;
  }
  PutText text(most_put_text);
  text.reserve(std::min(text_size, most_put_text));

  std::size_t next = 0;
  while (next < order.size()) {
    batch.clear();
    places.clear();
    for (; next < order.size(); ++next) {
      const std::size_t place = order[next];
      const EntryView& entry = entries[place];
      if (auto checked = check_kv_key(entry.key); !checked) {
        answer.failed.push_back({place, std::move(checked.error())});
        continue;
      }
      // It goes into the body as it is: what is not JSON would break the whole batch.
      if (!entry.metadata.empty() && !account_->connection->parser().is_json(entry.metadata)) {
        answer.failed.push_back(
            {place, Error{ErrorCode::invalid_argument, Retry::never, std::nullopt,
                          fmt::format("the metadata of \"{}\" is not JSON. Correct it.",
                                      shown(entry.key))}});
        continue;
      }
      if (!text.append(entry)) break;
      batch.push_back(place);
      places.emplace(entry.key, place);
    }
    if (batch.empty()) break;
    http::Request request{.method = "PUT",
                          .url = path("/bulk"),
                          .body = text.take(),
                          .content_type = "application/json",
                          .divisible = batch.size() > 1};
    Result<BulkResult> result = co_await bulk_write(std::move(request), batch.size(), what);
    // Nothing is known of its keys, so the whole call has failed, with what earlier requests of it
    // have written: writing that once more does no harm.
    if (!result) co_return std::unexpected(std::move(result.error()));
    for (const std::string& key : result->unsuccessful) {
      const auto place = places.find(key);
      if (place == places.end()) {
        co_return fail(
            ErrorCode::protocol, Retry::never,
            "Cloudflare's answer while {} calls a key failed that was not sent (\"{}\"), "
            "or the same key twice.",
            what, shown(key));
      }
      answer.failed.push_back(failed_key(place->second, ErrorCode::unavailable,
                                         "Cloudflare did not write the key. Try it again."));
      places.erase(place);
    }
  }
  co_return answer;
}

io::Task<Result<WriteAnswer>> KvStore::erase(std::span<const std::string_view> keys) {
  if (auto checked = check_erase(kv_capabilities(), keys); !checked) {
    co_return std::unexpected(std::move(checked.error()));
  }
  const std::string what = doing("deleting keys of");
  WriteAnswer answer;
  const Distinct distinct = distinct_keys(keys, answer.failed);
  if (distinct.keys.empty()) co_return answer;
  http::Request request{.method = "POST",
                        .url = path("/bulk/delete"),
                        .body = key_list(distinct.keys),
                        .content_type = "application/json",
                        .divisible = distinct.keys.size() > 1};
  Result<BulkResult> result = co_await bulk_write(std::move(request), distinct.keys.size(), what);
  if (!result) co_return std::unexpected(std::move(result.error()));
  std::vector<bool> failed(distinct.keys.size());
  const auto report = [&](std::size_t place) {
    answer.failed.push_back(failed_key(place, ErrorCode::unavailable,
                                       "Cloudflare did not delete the key. Try it again."));
  };
  for (const std::string& key : result->unsuccessful) {
    const auto found = distinct.index.find(key);
    if (found == distinct.index.end() || failed[found->second]) {
      co_return fail(
          ErrorCode::protocol, Retry::never,
          "Cloudflare's answer while {} calls a key failed that was not sent (\"{}\"), or "
          "the same key twice.",
          what, shown(key));
    }
    failed[found->second] = true;
    report(distinct.places[found->second]);
  }
  for (const auto& [place, index] : distinct.repeats) {
    if (failed[index]) report(place);
  }
  co_return answer;
}

}  // namespace sluice::store::cloudflare
