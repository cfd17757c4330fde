#include "server/cloudflare/multipart.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "base/ascii.h"

namespace sluice::server::cloudflare {

namespace {

constexpr std::size_t kMostParts = 16;
constexpr std::size_t kMostHead = 4096;
constexpr std::size_t kMostBoundary = 70;  // RFC 2046, section 5.1.1

template <class... Args>
std::unexpected<Error> bad(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::invalid_argument, format, std::forward<Args>(args)...);
}

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

void skip_blanks(std::string_view& text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
}

// RFC 9110, section 5.6.2.
bool is_token_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("!#$%&'*+-.^_`|~").contains(c);
}

std::string_view take_token(std::string_view& text) {
  const auto end = std::ranges::find_if_not(text, is_token_character);
  const std::string_view token = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(token.size());
  return token;
}

// A token or a quoted string. Nothing: neither stands here.
std::optional<std::string> take_value(std::string_view& text) {
  if (!text.starts_with('"')) {
    const std::string_view token = take_token(text);
    if (token.empty()) return std::nullopt;
    return std::string(token);
  }
  std::string value;
  for (std::size_t at = 1; at < text.size(); ++at) {
    if (text[at] == '"') {
      text.remove_prefix(at + 1);
      return value;
    }
    if (text[at] == '\\' && at + 1 < text.size()) ++at;
    value += text[at];
  }
  return std::nullopt;
}

// Calls `each(name, value)` for the parameters in `text`, which begins with ";" or is empty. False:
// they are malformed, or one is named twice.
template <class Each>
bool each_parameter(std::string_view text, Each each) {
  std::vector<std::string_view> names;
  for (skip_blanks(text); !text.empty(); skip_blanks(text)) {
    if (text.front() != ';') return false;
    text.remove_prefix(1);
    skip_blanks(text);
    if (text.empty()) return true;  // a final ";"
    const std::string_view name = take_token(text);
    if (name.empty() || !text.starts_with('=')) return false;
    text.remove_prefix(1);
    auto value = take_value(text);
    if (!value) return false;
    const auto is_name = [&](std::string_view other) { return same_but_for_case(name, other); };
    if (std::ranges::any_of(names, is_name)) return false;
    names.push_back(name);
    each(name, std::move(*value));
  }
  return true;
}

bool is_boundary(std::string_view text) {
  return !text.empty() && text.size() <= kMostBoundary && text.back() != ' ' &&
         std::ranges::all_of(text, [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                  std::string_view("'()+_,-./:=? ").contains(c);
         });
}

// The media type that `text` begins with, which is left what follows it.
std::string_view take_type(std::string_view& text) {
  skip_blanks(text);
  const std::string_view type = text.substr(0, std::min(text.find_first_of("; \t"), text.size()));
  text.remove_prefix(type.size());
  return type;
}

// The name of a part from the lines of its head.
Result<std::string> read_head(std::string_view head) {
  std::optional<std::string> name;
  bool disposed = false;
  while (!head.empty()) {
    std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(std::min(line.size() + 2, head.size()));
    if (line.find_first_of("\r\n") != std::string_view::npos || line.contains('\0')) {
      return bad("a part's head holds a bare line break or a zero byte");
    }
    const std::string_view field = take_token(line);
    if (field.empty() || !line.starts_with(':')) return bad("a part's head is malformed");
    line.remove_prefix(1);
    skip_blanks(line);
    if (same_but_for_case(field, "content-disposition")) {
      if (std::exchange(disposed, true)) return bad("a part has two Content-Dispositions");
      const std::string_view kind = take_token(line);
      const auto read = [&](std::string_view parameter, std::string value) {
        if (same_but_for_case(parameter, "name")) name = std::move(value);
      };
      if (!same_but_for_case(kind, "form-data") || !each_parameter(line, read)) {
        return bad("a part's Content-Disposition is not that of a form");
      }
    } else if (same_but_for_case(field, "content-type")) {
      const std::string_view type = take_type(line);
      if (same_but_for_case(type.substr(0, 10), "multipart/"))
        return bad("a part holds parts of its own");
    } else if (same_but_for_case(field, "content-transfer-encoding")) {
      while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
      if (!same_but_for_case(line, "binary") && !same_but_for_case(line, "8bit") &&
          !same_but_for_case(line, "7bit")) {
        return bad("a part is encoded; send its bytes as they are");
      }
    }
  }
  if (!name) return bad("a part has no name");
  return std::move(*name);
}

}  // namespace

bool is_form(std::string_view content_type) {
  return same_but_for_case(take_type(content_type), "multipart/form-data");
}

Result<std::vector<FormPart>> parse_form(std::string_view content_type, std::string_view body) {
  std::optional<std::string> boundary;
  const std::string_view type = take_type(content_type);
  const auto read = [&](std::string_view parameter, std::string value) {
    if (same_but_for_case(parameter, "boundary")) boundary = std::move(value);
  };
  if (!same_but_for_case(type, "multipart/form-data") || !each_parameter(content_type, read) ||
      !boundary || !is_boundary(*boundary)) {
    return bad("the Content-Type is not multipart/form-data with a boundary");
  }
  const std::string delimiter = "\r\n--" + *boundary;
  if (!body.starts_with(std::string_view(delimiter).substr(2))) {
    return bad("the form does not begin with its boundary");
  }
  body.remove_prefix(delimiter.size() - 2);
  std::vector<FormPart> parts;
  while (!body.starts_with("--")) {
    if (!body.starts_with("\r\n")) return bad("something follows a boundary on its line");
    if (parts.size() == kMostParts) return bad("the form has more than {} parts", kMostParts);
    body.remove_prefix(2);
    const std::size_t blank = body.substr(0, kMostHead).find("\r\n\r\n");
    if (blank == std::string_view::npos) {
      return bad("a part's head does not end, or is longer than {} bytes", kMostHead);
    }
    auto name = read_head(body.substr(0, blank));
    if (!name) return std::unexpected(std::move(name.error()));
    // An empty part's delimiter begins with the line break that ends the head.
    body.remove_prefix(blank + 2);
    // Linear, whatever the value holds: a carriage return is nowhere in the delimiter but at its
    // beginning, so no two attempts look at the same bytes.
    const std::size_t size = body.find(delimiter);
    if (size == std::string_view::npos) return bad("the form is cut off");
    parts.push_back({std::move(*name), size < 2 ? std::string_view() : body.substr(2, size - 2)});
    body.remove_prefix(size + delimiter.size());
  }
  body.remove_prefix(2);
  if (body.find_first_not_of("\r\n") != std::string_view::npos) {
    return bad("something follows the end of the form");
  }
  return parts;
}

}  // namespace sluice::server::cloudflare
