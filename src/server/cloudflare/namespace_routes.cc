// The routes of namespaces.
#include <algorithm>

#include "server/cloudflare/api.h"
#include "server/cloudflare/bulk_body.h"
#include "server/cloudflare/query.h"
#include "server/cloudflare/text.h"
#include "store/cloudflare/seeking.h"

namespace sluice::server::cloudflare {

// What a client asked for.
struct Api::NamespacePage {
  std::int64_t page = 1;
  std::int64_t per_page = 20;
  bool by_title = false;
  bool descending = false;
};

namespace {

constexpr std::int64_t kMostPerPage = 1000;

void write_namespace(JsonWriter& json, const store::Namespace& which) {
  std::string scratch;
  json.begin_object();
  json.name("id");
  json.string(wire_id(which.id));
  json.name("title");
  json.string(as_text(which.title, scratch));
  json.name("supports_url_encoding");
  json.boolean(true);
  json.end_object();
}

Response one_namespace(const store::Namespace& which) {
  return succeed(which.title.size() + 96, [&](JsonWriter& json) { write_namespace(json, which); });
}

Response title_taken() {
  return refuse(400, Code::title_taken,
                "a namespace with this account ID and title already exists");
}

// Whether a failed change may have been made all the same.
bool may_have_changed(const Error& error) {
  return error.code != ErrorCode::conflict && error.code != ErrorCode::invalid_argument;
}

bool allows_title(const Token* token, std::string_view title) {
  return token == nullptr || token->allows_namespace({title});
}

}  // namespace

io::Task<Result<Response>> Api::list_namespaces(Call& call) {
  NamespacePage asked;
  const auto query = Query::parse(call.request.query);
  if (!query) co_return refuse(400, Code::bad_limit, query.error().message);
  const auto page = query->find_integer("page");
  const auto per_page = query->find_integer("per_page");
  if (!page || !per_page || page->value_or(1) < 1 || per_page->value_or(1) < 1 ||
      per_page->value_or(1) > kMostPerPage) {
    co_return refuse(
        400, Code::bad_limit,
        fmt::format("page must be at least 1, and per_page from 1 to {}", kMostPerPage));
  }
  asked.page = page->value_or(asked.page);
  asked.per_page = per_page->value_or(asked.per_page);
  const std::string_view order = query->find("order").value_or("id");
  const std::string_view direction = query->find("direction").value_or("asc");
  if ((order != "id" && order != "title") || (direction != "asc" && direction != "desc")) {
    co_return refuse(400, Code::bad_limit, "order must be id or title, and direction asc or desc");
  }
  asked.by_title = order == "title";
  asked.descending = direction == "desc";
  Answer answer = co_await namespaces_answer(call, asked);
  if (!answer || settle(*answer)) co_return answer;
  const auto again = [&] { return namespaces_answer(call, asked); };
  co_return co_await bounded(std::move(answer), again);
}

// All namespaces of a backend can do the same; opening one asks nobody.
void Api::tell_seeking(Response& response, const store::Namespace& one) {
  if (!seekable_) seekable_ = backend_.open(one)->capabilities().seekable;
  if (!*seekable_) return;
  response.headers.emplace_back(store::cloudflare::seek_header, store::cloudflare::seek_value);
}

io::Task<Result<Response>> Api::namespaces_answer(const Call& call, const NamespacePage& asked) {
  const auto listing = co_await namespaces_.all();
  if (!listing) co_return std::unexpected(listing.error());
  struct Item {
    std::string id;
    const store::Namespace* which;
  };
  const Token* who = token(call);
  std::vector<Item> items;
  items.reserve((*listing)->size());
  for (const store::Namespace& which : **listing) {
    if (may_use(who, which)) items.push_back({wire_id(which.id), &which});
  }
  if (asked.by_title) {
    std::ranges::sort(items, {},
                      [](const Item& item) { return std::tie(item.which->title, item.id); });
  } else {
    std::ranges::sort(items, {}, &Item::id);
  }
  if (asked.descending) std::ranges::reverse(items);
  const auto total = static_cast<std::int64_t>(items.size());
  // No product that could overflow: pages far behind the end are empty, too.
  const std::int64_t from =
      asked.page - 1 > total / asked.per_page ? total : (asked.page - 1) * asked.per_page;
  const std::int64_t count = std::clamp<std::int64_t>(total - from, 0, asked.per_page);
  const auto write = [&](JsonWriter& json) {
    json.begin_array();
    for (std::int64_t i = from; i < from + count; ++i) {
      write_namespace(json, *items[static_cast<std::size_t>(i)].which);
    }
    json.end_array();
    json.name("result_info");
    json.begin_object();
    json.name("page");
    json.number(asked.page);
    json.name("per_page");
    json.number(asked.per_page);
    json.name("count");
    json.number(count);
    json.name("total_count");
    json.number(total);
    json.end_object();
  };
  constexpr std::size_t kBytesOfOne = 128;
  Response response = succeed(static_cast<std::size_t>(count) * kBytesOfOne, write);
  if (!(*listing)->empty()) tell_seeking(response, (*listing)->front());
  co_return response;
}

io::Task<Result<Response>> Api::get_namespace(Call& call) {
  Found found = co_await find_namespace(call);
  if (!found) co_return std::move(found.error());
  co_return one_namespace((*found)->which);
}

io::Task<Result<Response>> Api::create_namespace(Call& call) {
  const auto title = parse_title(call.request.body);
  if (!title) co_return title.error().response();
  if (!allows_title(token(call), *title)) co_return not_allowed();
  auto made = co_await backend_.create_namespace(*title);
  if (made || may_have_changed(made.error())) namespaces_.changed();
  if (made) {
    Response response = one_namespace(*made);
    tell_seeking(response, *made);
    co_return response;
  }
  if (made.error().code == ErrorCode::conflict) co_return title_taken();
  co_return std::unexpected(std::move(made.error()));
}

io::Task<Result<Response>> Api::rename_namespace(Call& call) {
  const auto title = parse_title(call.request.body);
  if (!title) co_return title.error().response();
  Found found = co_await find_namespace(call);
  if (!found) co_return std::move(found.error());
  if (!allows_title(token(call), *title)) co_return not_allowed();
  store::Namespace which = (*found)->which;
  auto renamed = co_await backend_.rename_namespace(which, *title);
  if (renamed || may_have_changed(renamed.error())) namespaces_.changed();
  if (!renamed) {
    if (renamed.error().code == ErrorCode::conflict) co_return title_taken();
    co_return failed(**found, std::move(renamed.error()));
  }
  which.title = *title;
  co_return one_namespace(which);
}

io::Task<Result<Response>> Api::delete_namespace(Call& call) {
  Found found = co_await find_namespace(call);
  if (!found) co_return std::move(found.error());
  auto deleted = co_await backend_.delete_namespace((*found)->which);
  if (deleted || may_have_changed(deleted.error())) namespaces_.changed();
  if (!deleted) co_return failed(**found, std::move(deleted.error()));
  co_return succeed(4, [](JsonWriter& json) { json.null(); });
}

}  // namespace sluice::server::cloudflare
