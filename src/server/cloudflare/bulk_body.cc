#include "server/cloudflare/bulk_body.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>

#include "base/base64.h"
#include "base/utf8.h"
#include "bulk/json_walk.h"
#include "server/cloudflare/array_cutter.h"

namespace sluice::server::cloudflare {

namespace ondemand = simdjson::ondemand;
using ondemand::json_type;

namespace {

template <class... Args>
std::unexpected<Refused> bad(fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(
      Refused{400, Code::bad_body, fmt::format(format, std::forward<Args>(args)...)});
}

std::unexpected<Refused> not_json() {
  return bad("could not parse the body: it is not valid JSON, or nested deeper than {}",
             bulk::kDeepestJson);
}

// Whole numbers, also when they are written as fractions ("1.9e9", "60.0").
std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t whole = 0;
  const char* const end = text.data() + text.size();
  if (const auto read = std::from_chars(text.data(), end, whole);
      read.ec == std::errc{} && read.ptr == end) {
    return whole;
  }
  double number = 0;
  constexpr double kExact = 9007199254740992;  // 2^53: doubles beyond skip whole numbers
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc{} || read.ptr != end || std::trunc(number) != number ||
      std::abs(number) > kExact) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(number);
}

}  // namespace

// What the readers share: the body and a parser that works in it.
struct BulkReader::Parser {
  explicit Parser(std::string& text) : body(text), cutter(view(text)) {}

  // The text of the body, once it has room for what simdjson reads behind it.
  static std::string_view view(std::string& text) {
    const std::size_t size = text.size();
    text.resize(size + simdjson::SIMDJSON_PADDING);
    return {text.data(), size};
  }

  char* writable(std::string_view part) { return body.data() + (part.data() - body.data()); }

  // Parses one element. Its views, and those of its texts, are into the body.
  simdjson::error_code iterate(std::string_view element, ondemand::document& document) {
    if (json.capacity() < element.size()) {
      // The parser by itself would ask for memory again whenever a text is longer than all before.
      constexpr std::size_t kLeast = 16'384;
      constexpr std::size_t kLarge = std::size_t{1} << 20;
      const std::size_t room = element.size() < kLarge ? 2 * element.size() : element.size();
      if (const auto error = json.allocate(std::max(room, kLeast))) return error;
    }
    const auto begin = static_cast<std::size_t>(element.data() - body.data());
    return json.iterate(element.data(), element.size(), body.size() - begin).get(document);
  }

  // The text of a string, decoded where it stands. None: it is not valid.
  std::optional<std::string_view> string(ondemand::value value) {
    const std::string_view token = bulk::scalar_text(value);
    if (token.size() < 2 || token.back() != '"') return std::nullopt;
    if (!token.contains('\\')) return token.substr(1, token.size() - 2);
    std::string_view text;
    if (value.get_string().get(text) != simdjson::SUCCESS) return std::nullopt;
    return replace(token.substr(1), text);
  }

  // Writes `text` over the beginning of `place`, which is as long or longer.
  std::string_view replace(std::string_view place, std::string_view text) {
    char* const to = writable(place);
    std::memcpy(to, text.data(), text.size());
    return {to, text.size()};
  }

  std::string& body;
  ArrayCutter cutter;
  ondemand::parser json;
  std::string compact;  // scratch
};

namespace {

// The byte behind an element decides whether simdjson takes a document that lacks its end for a
// complete one, so it is a zero while the element is parsed.
class Terminated {
 public:
  explicit Terminated(char* end) : end_(end), byte_(std::exchange(*end, '\0')) {}
  ~Terminated() { *end_ = byte_; }
  Terminated(const Terminated&) = delete;
  Terminated& operator=(const Terminated&) = delete;

 private:
  char* end_;
  char byte_;
};

}  // namespace

BulkReader::BulkReader(std::string& body, std::string_view what)
    : what_(what), parser_(std::make_unique<Parser>(body)) {}
BulkReader::~BulkReader() = default;

Checked<bool> BulkReader::read(std::size_t bytes) {
  ArrayCutter& cutter = parser_->cutter;
  const std::size_t until = cutter.offset() + bytes;
  while (cutter.offset() < until) {
    switch (cutter.next()) {
      case ArrayCutter::Step::end:
        if (auto checked = check_count(count_, kBulkPairs, what_); !checked) {
          return std::unexpected(std::move(checked.error()));
        }
        return false;
      case ArrayCutter::Step::bad:
        return bad("could not parse the body: it is not a JSON array of {}", what_);
      case ArrayCutter::Step::element:
        break;
    }
    if (++count_ > kBulkPairs) continue;  // they are only counted
    const std::string_view element = cutter.element();
    const Terminated terminated(parser_->writable(element) + element.size());
    if (auto taken = take(element); !taken) {
      Refused refused = std::move(taken.error());
      refused.message += fmt::format(", at index {}", count_ - 1);
      return std::unexpected(std::move(refused));
    }
  }
  return true;
}

Checked<> PairReader::take(std::string_view element) {
  ondemand::document document;
  ondemand::object object;
  if (!element.starts_with('{')) return bad("a pair must be an object");
  if (parser().iterate(element, document) != simdjson::SUCCESS ||
      document.get_object().get(object) != simdjson::SUCCESS) {
    return not_json();
  }
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  std::string_view metadata;
  bool base64 = false;
  std::optional<std::int64_t> expiration;
  std::optional<std::int64_t> ttl;
  for (auto member : object) {
    std::string_view name;
    ondemand::value item;
    json_type type{};
    if (member.unescaped_key().get(name) != simdjson::SUCCESS ||
        member.value().get(item) != simdjson::SUCCESS ||
        item.type().get(type) != simdjson::SUCCESS) {
      return not_json();
    }
    if (name == "key" || name == "value") {
      if (type != json_type::string) return bad("{} must be a string", name);
      const auto text = parser().string(item);
      if (!text) return not_json();
      (name == "key" ? key : value) = *text;
    } else if (name == "base64") {
      const std::string_view text = bulk::scalar_text(item);
      if (text != "true" && text != "false" && text != "null") {
        return bad("base64 must be true or false");
      }
      base64 = text == "true";
      if (!bulk::is_valid_json(item)) return not_json();
    } else if (name == "expiration" || name == "expiration_ttl") {
      auto& to = name == "expiration" ? expiration : ttl;
      to = type == json_type::number ? whole_number(bulk::scalar_text(item)) : std::nullopt;
      if (type != json_type::null && !to) {
        return std::unexpected(Refused{400, Code::bad_expiration,
                                       fmt::format("{} must be a whole number of seconds", name)});
      }
      if (!bulk::is_valid_json(item)) return not_json();
    } else if (name == "metadata") {
      const std::string_view scalar = bulk::scalar_text(item);
      if (!bulk::is_valid_json(item)) return not_json();
      metadata = scalar;
      if (type == json_type::object || type == json_type::array) {
        // The parser stands behind the closing bracket, at the next token.
        const char* end = nullptr;
        if (document.current_location().get(end) != simdjson::SUCCESS) return not_json();
        while (end != scalar.data() && end[-1] != '}' && end[-1] != ']') --end;
        metadata = {scalar.data(), static_cast<std::size_t>(end - scalar.data())};
      }
    } else if (!bulk::is_valid_json(item)) {
      return not_json();
    }
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) return not_json();

  if (!key) return bad("a pair needs a key");
  if (!value) return bad("a pair needs a value");
  if (auto checked = check_key(*key); !checked) return checked;
  if (base64) {
    const auto bytes = decode_base64(*value);
    if (!bytes) return bad("the value is not valid base64");
    value = parser().replace(*value, *bytes);
  }
  if (auto checked = check_value_size(value->size()); !checked) return checked;
  auto kept = check_metadata_size(metadata, parser().compact);
  if (!kept) return std::unexpected(std::move(kept.error()));
  if (kept->data() == parser().compact.data()) *kept = parser().replace(metadata, *kept);
  const auto expires = check_expiration(expiration, ttl, now_);
  if (!expires) return std::unexpected(expires.error());
  entries_.push_back({*key, *value, *kept, *expires, store::Presence::present});
  return {};
}

Checked<> KeyReader::take(std::string_view element) {
  if (!element.starts_with('"')) return bad("a key must be a string");
  ondemand::document document;
  std::string_view text;
  // Without a backslash it is what stands between the quotes, once it is known to be a string.
  if (parser().iterate(element, document) != simdjson::SUCCESS ||
      document.get_string().get(text) != simdjson::SUCCESS) {
    return not_json();
  }
  if (auto checked = check_key(text); !checked) return checked;
  keys_.push_back(parser().replace(element.substr(1), text));
  return {};
}

namespace {

// Calls `read(name, value, type)` for every member of the object that `body` is. `read` returns
// Checked<bool>: whether it has consumed the value.
template <class Read>
Checked<> each_member(std::string& body, Read read) {
  const std::size_t size = body.size();
  body.resize(size + simdjson::SIMDJSON_PADDING);
  ondemand::parser parser;
  ondemand::document document;
  ondemand::object object;
  if (parser.iterate(body.data(), size, body.size()).get(document) != simdjson::SUCCESS) {
    return not_json();
  }
  if (document.get_object().get(object) != simdjson::SUCCESS) {
    return bad("the body must be a JSON object");
  }
  for (auto member : object) {
    std::string_view name;
    ondemand::value value;
    json_type type{};
    if (member.unescaped_key().get(name) != simdjson::SUCCESS ||
        member.value().get(value) != simdjson::SUCCESS ||
        value.type().get(type) != simdjson::SUCCESS) {
      return not_json();
    }
    Checked<bool> consumed = read(name, value, type);
    if (!consumed) return std::unexpected(std::move(consumed.error()));
    if (!*consumed && !bulk::is_valid_json(value)) return not_json();
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) return not_json();
  return {};
}

// Adds the strings of an array to `keys`, each once.
Checked<bool> read_keys(ondemand::value value, std::vector<std::string>& keys) {
  ondemand::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return not_json();
  std::size_t count = 0;
  keys.clear();
  for (auto element : array) {
    ondemand::value item;
    json_type type{};
    std::string_view key;
    if (element.get(item) != simdjson::SUCCESS || item.type().get(type) != simdjson::SUCCESS) {
      return not_json();
    }
    if (type != json_type::string) return bad("a key must be a string");
    if (item.get_string().get(key) != simdjson::SUCCESS) return not_json();
    if (++count > kBulkGetKeys) continue;
    if (auto checked = check_key(key); !checked) return std::unexpected(std::move(checked.error()));
    if (std::ranges::find(keys, key) == keys.end()) keys.emplace_back(key);
  }
  if (auto checked = check_count(count, kBulkGetKeys, "keys"); !checked) {
    return std::unexpected(std::move(checked.error()));
  }
  return true;
}

}  // namespace

Checked<BulkGet> parse_bulk_get(std::string& body) {
  BulkGet asked;
  const auto read = [&](std::string_view name, ondemand::value value,
                        json_type type) -> Checked<bool> {
    if (name == "keys") {
      if (type != json_type::array) return bad("keys must be an array of strings");
      return read_keys(value, asked.keys);
    }
    if (name == "type") {
      const std::string_view text = bulk::scalar_text(value);
      if (text != R"("text")" && text != R"("json")") return bad("type must be text or json");
      asked.json = text == R"("json")";
    }
    if (name == "withMetadata") {
      const std::string_view text = bulk::scalar_text(value);
      if (text != "true" && text != "false") return bad("withMetadata must be true or false");
      asked.with_metadata = text == "true";
    }
    return false;
  };
  if (auto checked = each_member(body, read); !checked) {
    return std::unexpected(std::move(checked.error()));
  }
  if (asked.keys.empty()) return bad("keys must name at least one key");
  return asked;
}

Checked<std::string> parse_title(std::string& body) {
  std::optional<std::string> title;
  const auto read = [&](std::string_view name, ondemand::value value,
                        json_type type) -> Checked<bool> {
    if (name != "title") return false;
    std::string_view text;
    if (type != json_type::string) return bad("title must be a string");
    if (value.get_string().get(text) != simdjson::SUCCESS) return not_json();
    title = text;
    return true;
  };
  if (auto checked = each_member(body, read); !checked) {
    return std::unexpected(std::move(checked.error()));
  }
  if (!title || title->empty() || title->size() > kTitleBytes) {
    return std::unexpected(Refused{400, Code::bad_title,
                                   fmt::format("a title of 1 to {} bytes is needed", kTitleBytes)});
  }
  return std::move(*title);
}

}  // namespace sluice::server::cloudflare
