#include "bulk/entry_parser.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "base/base64.h"
#include "base/utf8.h"
#include "bulk/json_walk.h"

namespace sluice::bulk {

namespace ondemand = simdjson::ondemand;
using ondemand::json_type;

namespace {

// 9999-12-31T23:59:59Z. What lies beyond is nearly always a time in milliseconds.
constexpr std::int64_t kLatestExpiration = 253'402'300'799;

// A parser that has grown beyond this is replaced, so that one huge record does not hold its
// memory.
constexpr std::size_t kKeptCapacity = std::size_t{1} << 20;

enum class Field : std::uint8_t {
  key,
  value,
  base64,
  key_base64,
  metadata,
  expiration,
  expiration_ttl,
  other
};

Field field_of(std::string_view name) {
  if (name == "key") return Field::key;
  if (name == "value") return Field::value;
  if (name == "metadata") return Field::metadata;
  if (name == "expiration") return Field::expiration;
  if (name == "base64") return Field::base64;
  if (name == "expiration_ttl") return Field::expiration_ttl;
  if (name == "key_base64") return Field::key_base64;
  return Field::other;
}

std::string_view kind(json_type type) {
  switch (type) {
    case json_type::object:
      return "an object";
    case json_type::array:
      return "an array";
    case json_type::string:
      return "a string";
    case json_type::number:
      return "a number";
    case json_type::boolean:
      return "a boolean";
    case json_type::null:
      return "null";
  }
  return "something else";
}

std::string_view sentence(simdjson::error_code error) {
  switch (error) {
    case simdjson::UTF8_ERROR:
      return "it is not UTF-8";
    case simdjson::UNCLOSED_STRING:
      return "not valid JSON: a string is not closed";
    case simdjson::UNESCAPED_CHARS:
      return "not valid JSON: a control character in a string is not escaped";
    case simdjson::STRING_ERROR:
      return "not valid JSON: a string has an invalid escape";
    case simdjson::CAPACITY:
    case simdjson::MEMALLOC:
      return "it is too long to be parsed in the memory there is";
    default:
      return "not valid JSON";
  }
}

// Reads the members of one object into Fields. What is wrong with one is kept as the reason, and
// the object is still read to its end: only JSON that is valid to the end shows that the next
// record begins where it seems to.
class MemberReader {
 public:
  MemberReader(ondemand::document& document, Fields& fields, std::string& reason)
      : document_(document), fields_(fields), reason_(reason) {}

  // False: this is not JSON, and the reason says so.
  bool read(simdjson::simdjson_result<ondemand::field> member) {
    std::string_view name;
    ondemand::value value;
    json_type type{};
    if (const auto error = member.unescaped_key().get(name); error != simdjson::SUCCESS) {
      return malformed(sentence(error));
    }
    if (member.value().get(value) != simdjson::SUCCESS ||
        value.type().get(type) != simdjson::SUCCESS) {
      return malformed("not valid JSON");
    }
    const Field field = field_of(name);
    const unsigned bit = 1U << static_cast<unsigned>(field);
    if (field != Field::other && (seen_ & bit) != 0) {
      bad(fmt::format("the field \"{}\" is there twice", name));
    }
    seen_ |= bit;
    switch (field) {
      case Field::key:
        return read_string(name, value, type, fields_.key);
      case Field::value:
        return read_string(name, value, type, fields_.value);
      case Field::metadata:
        return read_metadata(value, type);
      case Field::base64:
        return read_flag(name, value, type, fields_.value_is_base64);
      case Field::key_base64:
        return read_flag(name, value, type, fields_.key_is_base64);
      case Field::expiration:
        return read_seconds(name, value, type, fields_.expiration);
      case Field::expiration_ttl:
        return read_seconds(name, value, type, fields_.expiration_ttl);
      case Field::other:
        break;
    }
    return pass(value);
  }

 private:
  bool malformed(std::string why) {
    reason_ = std::move(why);
    return false;
  }
  bool malformed(std::string_view why) { return malformed(std::string(why)); }
  bool malformed(const char* why) { return malformed(std::string(why)); }

  // The first thing that is wrong is the one to tell.
  void bad(std::string why) {
    if (reason_.empty()) reason_ = std::move(why);
  }

  // Checks a value that is not used.
  bool pass(ondemand::value value) {
    return is_valid_json(value) ||
           malformed(fmt::format("not valid JSON, or nested deeper than {}", kDeepestJson));
  }

  bool read_string(std::string_view name, ondemand::value value, json_type type,
                   std::optional<std::string_view>& to) {
    if (type == json_type::string) {
      std::string_view string;
      if (value.get_string().get(string) != simdjson::SUCCESS) {
        return malformed(fmt::format(
            "not valid JSON: \"{}\" has an invalid escape or half a surrogate pair", name));
      }
      to = string;
      return true;
    }
    if (name == "value" && type == json_type::null) {
      bad("\"value\" is null; an empty value is \"\"");
    } else {
      bad(fmt::format("\"{}\" is {}, not a string{}", name, kind(type),
                      name == "value" ? " (write JSON values as text in quotes)" : ""));
    }
    return pass(value);
  }

  bool read_metadata(ondemand::value value, json_type type) {
    // Where the value begins in the text; where it ends is known once it has been walked.
    const char* const begin = value.raw_json_token().data();
    if (!is_valid_json(value)) {
      return malformed(
          fmt::format("\"metadata\" is not valid JSON, or nested deeper than {}", kDeepestJson));
    }
    if (type == json_type::null) return true;
    if (type != json_type::object && type != json_type::array) {
      fields_.metadata = scalar_text(value);
      return true;
    }
    // The parser stands behind the closing bracket, at the next token.
    const char* end = nullptr;
    if (document_.current_location().get(end) != simdjson::SUCCESS) {
      return malformed("not valid JSON");
    }
    while (end != begin && end[-1] != '}' && end[-1] != ']') --end;
    fields_.metadata = {begin, static_cast<std::size_t>(end - begin)};
    return true;
  }

  bool read_flag(std::string_view name, ondemand::value value, json_type type, bool& to) {
    if (type == json_type::boolean) {
      to = scalar_text(value) == "true";
    } else if (type != json_type::null) {
      bad(fmt::format("\"{}\" is {}, not true or false", name, kind(type)));
    }
    return pass(value);
  }

  bool read_seconds(std::string_view name, ondemand::value value, json_type type,
                    std::optional<std::int64_t>& to) {
    if (type == json_type::number) to = parse_seconds(scalar_text(value));
    if (type != json_type::null && !to) {
      bad(fmt::format("\"{}\" is not a whole number of seconds", name));
    }
    return pass(value);
  }

  ondemand::document& document_;
  Fields& fields_;
  std::string& reason_;
  unsigned seen_ = 0;  // a bit for each Field
};

}  // namespace

struct EntryParser::Scratch {
  ondemand::parser parser;
  PaddedText padded;
  std::string key_bytes;  // decoded from base64
  std::string value_bytes;

  void shrink() {
    if (parser.capacity() <= kKeptCapacity) return;
    parser = ondemand::parser();
    padded.shrink();
  }
};

EntryParser::EntryParser(std::int64_t now) : now_(now), scratch_(std::make_unique<Scratch>()) {}
EntryParser::~EntryParser() = default;

Verdict EntryParser::parse_object(std::string_view text, Fields& fields, std::string& reason) {
  fields = {};
  reason.clear();
  scratch_->shrink();
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{') {
    const bool json = is_json(text);
    reason = json ? "not a JSON object" : "not valid JSON";
    return json ? Verdict::bad : Verdict::malformed;
  }

  ondemand::parser& parser = scratch_->parser;
  // The parser by itself would ask for memory again whenever a text is longer than all before.
  auto error = simdjson::SUCCESS;
  if (parser.capacity() < text.size()) {
    error = parser.allocate(std::max<std::size_t>(text.size(), 16384));
  }
  const std::string_view padded = scratch_->padded.assign("", text, "");
  ondemand::document document;
  ondemand::object object;
  if (error == simdjson::SUCCESS) {
    error = parser.iterate(padded.data(), padded.size(), scratch_->padded.capacity()).get(document);
  }
  if (error == simdjson::SUCCESS) error = document.get_object().get(object);
  if (error != simdjson::SUCCESS) {
    reason = sentence(error);
    return Verdict::malformed;
  }

  MemberReader members(document, fields, reason);
  for (auto member : object) {
    if (!members.read(member)) return Verdict::malformed;
  }
  // The parser does not look behind the end of the document by itself.
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    reason = "not valid JSON: something follows the object";
    return Verdict::malformed;
  }
  return reason.empty() ? Verdict::good : Verdict::bad;
}

bool EntryParser::accept_key(const Fields& fields, store::Block& out, std::string& reason) {
  if (!fields.key) {
    reason = "it has no \"key\"";
    return false;
  }
  std::string_view key = *fields.key;
  if (fields.key_is_base64) {
    Result<std::string> decoded = decode_base64(key);
    if (!decoded) {
      reason = "\"key\" is not valid base64";
      return false;
    }
    scratch_->key_bytes = std::move(*decoded);
    key = scratch_->key_bytes;
  }
  if (key.empty()) {
    reason = "the key is empty";
    return false;
  }
  store::EntryView entry;
  entry.key = key;
  entry.presence = store::Presence::listed;
  out.append(entry);
  return true;
}

bool EntryParser::accept(const Fields& fields, store::Block& out, std::string& reason) {
  if (fields.key && !fields.value) {
    reason = "it has no \"value\" (a listing has none; an export has)";
    return false;
  }
  std::int64_t expiration = fields.expiration.value_or(0);
  if (expiration < 0) {
    reason = "\"expiration\" is negative";
    return false;
  }
  if (fields.expiration_ttl) {
    if (*fields.expiration_ttl < 1 || *fields.expiration_ttl > kLatestExpiration) {
      reason = "\"expiration_ttl\" is not a possible number of seconds";
      return false;
    }
    expiration = now_ + *fields.expiration_ttl;
  }
  if (expiration > kLatestExpiration) {
    reason = "\"expiration\" is after the year 9999; it counts seconds, not milliseconds";
    return false;
  }
  std::string_view value = fields.value.value_or(std::string_view());
  if (fields.value_is_base64) {
    Result<std::string> decoded = decode_base64(value);
    if (!decoded) {
      reason = "\"value\" is not valid base64";
      return false;
    }
    scratch_->value_bytes = std::move(*decoded);
    value = scratch_->value_bytes;
  }
  if (!accept_key(fields, out, reason)) return false;
  store::EntryView& entry = out[out.size() - 1];
  entry.value = out.copy(value);
  entry.metadata = out.copy(fields.metadata);
  entry.expiration = expiration;
  entry.presence = store::Presence::present;
  return true;
}

Verdict EntryParser::accept_items(std::string_view text, const ItemFields& fields,
                                  store::Block& out, std::string& reason) {
  scratch_->shrink();
  // Checks all of it, which the reading below does not.
  if (!is_json(text)) {
    reason = "not valid JSON";
    return Verdict::malformed;
  }
  const std::string_view padded = scratch_->padded.assign("[", text, "]");
  ondemand::document document;
  ondemand::array array;
  if (scratch_->parser.iterate(padded.data(), padded.size(), scratch_->padded.capacity())
              .get(document) != simdjson::SUCCESS ||
      document.get_array().get(array) != simdjson::SUCCESS) {
    reason = "not valid JSON";
    return Verdict::malformed;
  }
  std::size_t added = 0;
  const auto add = [&](std::string_view item) {
    out.append({.key = item, .presence = store::Presence::listed});
    ++added;
  };
  // False: neither a text nor an array of texts.
  const auto add_value = [&](ondemand::value value) {
    std::string_view item;
    if (value.get_string().get(item) == simdjson::SUCCESS) {
      add(item);
      return true;
    }
    ondemand::array items;
    if (value.get_array().get(items) != simdjson::SUCCESS) return false;
    for (auto element : items) {
      if (element.get_string().get(item) != simdjson::SUCCESS) return false;
      add(item);
    }
    return true;
  };
  for (auto element : array) {
    ondemand::value value;
    ondemand::object object;
    if (element.get(value) != simdjson::SUCCESS) return Verdict::malformed;
    if (value.get_object().get(object) != simdjson::SUCCESS) {
      std::string_view item;
      if (value.get_string().get(item) == simdjson::SUCCESS) {
        add(item);
        continue;
      }
      reason = "neither a text nor a JSON object";
      return Verdict::bad;
    }
    for (const std::string& name : fields.names) {
      ondemand::value field;
      if (object.find_field_unordered(name).get(field) != simdjson::SUCCESS) continue;
      if (!add_value(field)) {
        reason = fmt::format("\"{}\" is neither a text nor an array of texts", name);
        return Verdict::bad;
      }
      break;
    }
    if (added > 0) continue;
    if (!fields.whole_objects) {
      reason = fmt::format("it has no \"{}\"", fmt::join(fields.names, "\" or \""));
      return Verdict::bad;
    }
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    add(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
  }
  return Verdict::good;
}

bool EntryParser::is_json(std::string_view text) {
  return bulk::is_json(text, scratch_->parser, scratch_->padded);
}

std::optional<std::int64_t> parse_seconds(std::string_view text) {
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return seconds;
}

}  // namespace sluice::bulk
