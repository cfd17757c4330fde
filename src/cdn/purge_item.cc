#include "cdn/purge_item.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <map>

#include "base/json_text.h"
#include "base/utf8.h"

namespace sluice::cdn {

namespace {

namespace json = boost::json;

constexpr std::size_t kLongestTag = 1024;    // bytes; Cloudflare's documentation of cache tags
constexpr std::size_t kLongestHost = 253;    // RFC 1035
constexpr std::size_t kLongestUrl = 32'768;  // far above what caches keep

constexpr std::array<std::string_view, 5> kNames{"everything", "files", "tags", "hosts",
                                                 "prefixes"};
constexpr std::array<std::string_view, 5> kSingulars{"everything", "file", "tag", "host", "prefix"};
constexpr std::array<std::string_view, 5> kColumns{"", "url", "tag", "host", "prefix"};

char to_lower(char c) {
  return static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), to_lower);
  return result;
}

std::unexpected<Error> refuse(PurgeKind kind, std::string_view text, std::string_view reason) {
  return fail(ErrorCode::invalid_argument, "\"{}\" is no {} that can be purged: {}",
              truncated_to_width(printable(text), 80), singular(kind), reason);
}

bool is_host(std::string_view text) {
  if (text.empty() || text.size() > kLongestHost || text.find('.') == std::string_view::npos) {
    return false;
  }
  bool label_is_empty = true;
  for (const char c : text) {
    if (c == '.') {
      if (label_is_empty) return false;
      label_is_empty = true;
      continue;
    }
    const char small = to_lower(c);
    const bool plain =
        (small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!plain) return false;
    label_is_empty = false;
  }
  return !label_is_empty;
}

bool has_space_or_control(std::string_view text) {
  return std::ranges::any_of(
      text, [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; });
}

// What stands between "://" and the path.
std::string_view authority_of(std::string_view url) {
  url.remove_prefix(url.find("://") + 3);
  return url.substr(0, url.find_first_of("/?#"));
}

// Why `url` is none; or "".
std::string_view url_problem(std::string_view url) {
  const std::string scheme = lower(url.substr(0, std::min(url.find("://"), url.size())));
  if (scheme != "http" && scheme != "https") {
    return "a URL begins with https:// or http://";
  }
  const std::string_view authority = authority_of(url);
  if (authority.empty()) return "it names no host";
  if (authority.find('@') != std::string_view::npos) return "it names a user";
  if (has_space_or_control(url)) return "it holds a space or a control character";
  if (url.size() > kLongestUrl) return "it is too long";
  if (!is_utf8(url)) return "it is not UTF-8";
  return {};
}

Result<std::string> checked_file(std::string_view text, std::span<const FileHeader> more) {
  std::string url(text);
  std::map<std::string, FileHeader> headers;  // by the name in lower case
  if (text.starts_with('{')) {
    boost::system::error_code error;
    const json::value value = json::parse(text, error);
    if (error || !value.is_object()) return refuse(PurgeKind::files, text, "it is not JSON");
    for (const auto& [key, field] : value.get_object()) {
      if (key == "url" && field.is_string()) continue;
      if (key != "headers" || !field.is_object()) {
        return refuse(PurgeKind::files, text,
                      "as an object it has \"url\", a text, and \"headers\", an object");
      }
      for (const auto& [header, content] : field.get_object()) {
        if (!content.is_string()) {
          return refuse(PurgeKind::files, text, "a header is not a text");
        }
        auto parsed = parse_file_header(
            fmt::format("{}:{}", std::string_view(header), std::string_view(content.get_string())));
        if (!parsed) return std::unexpected(std::move(parsed.error()));
        headers.insert_or_assign(lower(parsed->first), std::move(*parsed));
      }
    }
    const json::value* const found = value.get_object().if_contains("url");
    if (found == nullptr) return refuse(PurgeKind::files, text, "it has no \"url\"");
    url = found->get_string();
  }
  if (const auto problem = url_problem(url); !problem.empty()) {
    return refuse(PurgeKind::files, url, problem);
  }
  for (const FileHeader& header : more) headers.emplace(lower(header.first), header);
  if (headers.empty()) return url;
  std::string item = "{\"url\":";
  append_json_string(item, url);
  item += ",\"headers\":{";
  bool first = true;
  for (const auto& [key, header] : headers) {
    if (!std::exchange(first, false)) item += ',';
    append_json_string(item, header.first);
    item += ':';
    append_json_string(item, header.second);
  }
  return item + "}}";
}

Result<std::string> checked_prefix(std::string_view text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  if (text.find("://") != std::string_view::npos) {
    return refuse(PurgeKind::prefixes, text, "leave out the scheme, as in www.example.com/path");
  }
  if (!is_host(text.substr(0, slash))) {
    return refuse(PurgeKind::prefixes, text, "it does not begin with the name of a host");
  }
  if (text.find_first_of("?#") != std::string_view::npos) {
    return refuse(PurgeKind::prefixes, text, "it holds a query or a fragment");
  }
  if (has_space_or_control(text)) {
    return refuse(PurgeKind::prefixes, text, "it holds a space or a control character");
  }
  if (!is_utf8(text) || text.size() > kLongestUrl) {
    return refuse(PurgeKind::prefixes, text, "it is not UTF-8, or too long");
  }
  return lower(text.substr(0, slash)) + std::string(text.substr(slash));
}

}  // namespace

std::string_view name(PurgeKind kind) {
  return kNames[static_cast<std::size_t>(kind)];
}
std::string_view singular(PurgeKind kind) {
  return kSingulars[static_cast<std::size_t>(kind)];
}
std::string_view column_of(PurgeKind kind) {
  return kColumns[static_cast<std::size_t>(kind)];
}

Result<FileHeader> parse_file_header(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view header = text.substr(0, std::min(colon, text.size()));
  std::string_view content = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  while (content.starts_with(' ')) content.remove_prefix(1);
  while (content.ends_with(' ')) content.remove_suffix(1);
  const bool named = !header.empty() && std::ranges::all_of(header, [](char c) {
    const char small = to_lower(c);
    return (small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
  const bool printed = std::ranges::all_of(content, [](char c) { return c >= ' ' && c <= '~'; });
  if (!named || content.empty() || !printed) {
    return fail(ErrorCode::invalid_argument,
                "\"{}\" is no header: write it as \"CF-Device-Type: mobile\"",
                truncated_to_width(printable(text), 80));
  }
  return FileHeader(header, content);
}

Result<std::string> checked_item(PurgeKind kind, std::string_view text,
                                 std::span<const FileHeader> headers) {
  if (text.empty()) return refuse(kind, text, "it is empty");
  switch (kind) {
    case PurgeKind::everything:
      break;
    case PurgeKind::files:
      return checked_file(text, headers);
    case PurgeKind::tags:
      if (text.size() > kLongestTag) return refuse(kind, text, "it is longer than 1,024 bytes");
      if (!std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~' && c != ','; })) {
        return refuse(kind, text, "a cache tag is printable ASCII without a space or a comma");
      }
      return std::string(text);
    case PurgeKind::hosts: {
      std::string_view host = text;
      if (host.ends_with('.')) host.remove_suffix(1);
      if (!is_host(host)) {
        return refuse(kind, text, "a host is a name like www.example.com, and nothing else");
      }
      return lower(host);
    }
    case PurgeKind::prefixes:
      return checked_prefix(text);
  }
  return refuse(kind, text, "everything has no items");
}

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view part = text.substr(0, comma);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) parts.push_back(part);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

std::string host_of(PurgeKind kind, std::string_view item) {
  std::string url;
  if (kind == PurgeKind::files) {
    url = item;
    if (item.starts_with('{')) {
      url = json::parse(json::string_view(item.data(), item.size())).at("url").as_string();
    }
    item = authority_of(url);
    const std::size_t bracket = item.starts_with('[') ? item.find(']') : 0;  // of an IPv6 address
    item = item.substr(0, item.find(':', std::min(bracket, item.size())));
  }
  if (item.ends_with('.')) item.remove_suffix(1);
  return lower(item.substr(0, item.find('/')));
}

std::string purge_body(PurgeKind kind, std::span<const std::string_view> items) {
  if (kind == PurgeKind::everything) return "{\"purge_everything\":true}";
  std::string body = fmt::format("{{\"{}\":[", name(kind));
  for (const std::string_view item : items) {
    if (!body.ends_with('[')) body += ',';
    if (kind == PurgeKind::files && item.starts_with('{')) {
      body += item;
    } else {
      append_json_string(body, item);
    }
  }
  return body + "]}";
}

}  // namespace sluice::cdn
