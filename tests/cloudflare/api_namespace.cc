// The routes of namespaces and of single keys.
#include <simdjson.h>

#include <algorithm>
#include <boost/json.hpp>

#include "tests/cloudflare/api.h"
#include "tests/cloudflare/envelope.h"

namespace sluice::cloudflare_fake {
namespace {

constexpr std::size_t value_limit = 25u << 20;
constexpr std::size_t metadata_limit = 1024;

std::string describe(std::string_view id, std::string_view title) {
  std::string text = fmt::format(R"({{"id":"{}","title":)", id);
  append_text(text, title);
  text += R"(,"supports_url_encoding":true})";
  return text;
}

// The title in a body like {"title":"…"}; nullopt: there is none, or it is not allowed.
std::optional<std::string> title_in(std::string_view body) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(body, error);
  if (error || !value.is_object()) return std::nullopt;
  const auto* title = value.as_object().if_contains("title");
  if (title == nullptr || !title->is_string()) return std::nullopt;
  std::string text(title->as_string());
  if (text.empty() || text.size() > 512) return std::nullopt;
  return text;
}

struct Part {
  std::string name;
  std::string_view content;
};

// RFC 7578. nullopt: malformed.
std::optional<std::vector<Part>> parse_multipart(std::string_view content_type,
                                                 std::string_view body) {
  constexpr std::string_view mark = "boundary=";
  const std::size_t at = content_type.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view boundary = content_type.substr(at + mark.size());
  boundary = boundary.substr(0, boundary.find(';'));
  if (boundary.size() >= 2 && boundary.front() == '"') {
    boundary = boundary.substr(1, boundary.find('"', 1) - 1);
  }
  const std::string delimiter = "\r\n--" + std::string(boundary);
  const std::string opening = "--" + std::string(boundary);
  if (!body.starts_with(opening)) return std::nullopt;
  body.remove_prefix(opening.size());
  std::vector<Part> parts;
  while (!body.starts_with("--")) {
    if (!body.starts_with("\r\n")) return std::nullopt;
    const std::size_t blank = body.find("\r\n\r\n");
    if (blank == std::string_view::npos) return std::nullopt;
    const std::string_view head = body.substr(0, blank);
    body.remove_prefix(blank + 4);
    // An empty part's delimiter begins with the line break that ends the head.
    const std::size_t end = body.find(delimiter);
    if (end == std::string_view::npos) return std::nullopt;
    constexpr std::string_view label = " name=\"";
    const std::size_t name_at = head.find(label);
    if (name_at == std::string_view::npos) return std::nullopt;
    const std::string_view name = head.substr(name_at + label.size());
    parts.push_back({std::string(name.substr(0, name.find('"'))), body.substr(0, end)});
    body.remove_prefix(end + delimiter.size());
  }
  return parts;
}

}  // namespace

Answer Api::list_namespaces(const Call& call) {
  const auto number = [&](std::string_view name, std::int64_t otherwise) {
    const auto at = call.query.find(name);
    return at == call.query.end() ? otherwise : parse_integer(at->second).value_or(-1);
  };
  const std::int64_t page = number("page", 1);
  const std::int64_t per_page = number("per_page", 20);
  if (page < 1 || per_page < 1 || per_page > 1000) {
    return refuse(400, Code::bad_limit, "page is at least 1, and per_page from 1 to 1000");
  }
  std::vector<const Namespace*> all;
  for (const auto& item : namespaces_) all.push_back(&item.second);
  const auto order = call.query.find("order");
  if (order != call.query.end() && order->second == "title") {
    std::ranges::sort(all, {}, &Namespace::title);
  }
  const auto direction = call.query.find("direction");
  if (direction != call.query.end() && direction->second == "desc") std::ranges::reverse(all);
  const auto from =
      std::min(all.size(), static_cast<std::size_t>(page - 1) * static_cast<std::size_t>(per_page));
  const auto to = std::min(all.size(), from + static_cast<std::size_t>(per_page));
  std::string result = "[";
  for (std::size_t i = from; i < to; ++i) {
    if (i != from) result += ',';
    result += describe(all[i]->id, all[i]->title);
  }
  result += ']';
  return succeed(result, fmt::format(R"({{"page":{},"per_page":{},"count":{},"total_count":{}}})",
                                     page, per_page, to - from, all.size()));
}

Answer Api::create_namespace(const Call& call) {
  const auto title = title_in(call.request.body);
  if (!title) return refuse(400, Code::bad_title, "a title of 1 to 512 bytes is needed");
  if (!namespace_id(*title).empty()) {
    return refuse(400, Code::title_taken,
                  "a namespace with this account ID and title already exists");
  }
  const std::string id = create_namespace(*title);
  return succeed(describe(id, *title));
}

Answer Api::rename_namespace(const Call& call, Namespace& where) {
  const auto title = title_in(call.request.body);
  if (!title) return refuse(400, Code::bad_title, "a title of 1 to 512 bytes is needed");
  const std::string taken_by = namespace_id(*title);
  if (!taken_by.empty() && taken_by != where.id) {
    return refuse(400, Code::title_taken,
                  "a namespace with this account ID and title already exists");
  }
  where.title = *title;
  return succeed(describe(where.id, where.title));
}

Answer Api::get_value(const Call& call, Namespace& where) {
  if (const std::string problem = key_problem(call.key); !problem.empty()) {
    return refuse(400, Code::bad_key, problem);
  }
  auto entry = where.keyspace.find(call.key, now());
  if (!entry) return refuse(404, Code::key_not_found, "get: 'key not found'");
  ++stats_.values_read;
  Answer answer;
  answer.content_type = "application/octet-stream";
  answer.body = std::move(entry->value);
  if (entry->expiration != 0) {
    answer.headers.emplace_back("expiration", std::to_string(entry->expiration));
  }
  return answer;
}

Answer Api::put_value(const Call& call, Namespace& where) {
  if (const std::string problem = key_problem(call.key); !problem.empty()) {
    return refuse(400, Code::bad_key, problem);
  }
  Entry entry;
  if (call.request.content_type.starts_with("multipart/form-data")) {
    const auto parts = parse_multipart(call.request.content_type, call.request.body);
    const auto find = [&](std::string_view name) -> const Part* {
      if (!parts) return nullptr;
      const auto at = std::ranges::find(*parts, name, &Part::name);
      return at == parts->end() ? nullptr : &*at;
    };
    const Part* value = find("value");
    if (value == nullptr) {
      return refuse(400, Code::malformed_value_part, "the form needs a part named value");
    }
    entry.value = value->content;
    if (const Part* metadata = find("metadata")) {
      boost::system::error_code error;
      (void)boost::json::parse(metadata->content, error);
      if (error) return refuse(400, Code::bad_metadata, "metadata must be valid json");
      entry.metadata = metadata->content;
    }
  } else {
    entry.value = call.request.body;
  }
  if (entry.value.size() > value_limit) {
    return refuse(413, Code::too_large, "value length exceeds limit of 26214400");
  }
  if (entry.metadata.size() > metadata_limit) {
    return refuse(413, Code::too_large, "metadata is larger than 1024 bytes");
  }
  std::optional<std::int64_t> times[2];
  const std::string_view names[2] = {"expiration", "expiration_ttl"};
  for (std::size_t i = 0; i < 2; ++i) {
    const auto at = call.query.find(names[i]);
    if (at == call.query.end()) continue;
    times[i] = parse_integer(at->second);
    if (!times[i]) return refuse(400, Code::bad_expiration, "an expiration is an integer");
  }
  if (const std::string problem = expiration_problem(times[0], times[1], now(), entry.expiration);
      !problem.empty()) {
    return refuse(400, Code::bad_expiration, problem);
  }
  ++stats_.keys_put;
  applied_.put(where.id, call.key);
  if (!options_.discard) where.keyspace.put(call.key, std::move(entry));
  return succeed("{}");
}

Answer Api::delete_value(const Call& call, Namespace& where) {
  if (const std::string problem = key_problem(call.key); !problem.empty()) {
    return refuse(400, Code::bad_key, problem);
  }
  applied_.erased(where.id, call.key);
  if (where.keyspace.erase(call.key, now())) ++stats_.keys_erased;
  return succeed("{}");
}

Answer Api::get_metadata(const Call& call, Namespace& where) {
  if (const std::string problem = key_problem(call.key); !problem.empty()) {
    return refuse(400, Code::bad_key, problem);
  }
  const auto entry = where.keyspace.find(call.key, now());
  if (!entry) return refuse(404, Code::key_not_found, "get: 'key not found'");
  return succeed(entry->metadata.empty() ? "null" : entry->metadata);
}

}  // namespace sluice::cloudflare_fake
