// Walking Cloudflare's answers with simdjson. Heavy: only source files include it.
#pragma once

#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "store/cloudflare/answer.h"

namespace sluice::store::cloudflare {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;

// Deeper nesting is refused, since it is walked by recursion. 1024 bytes of metadata cannot hold
// much more than this.
inline constexpr int deepest = 512;

inline std::string_view trim(std::string_view text) {
  const auto last = text.find_last_not_of(" \t\r\n");
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

// RFC 8259, section 6. simdjson only checks numbers that fit its types, and metadata may hold
// others.
inline bool is_number(std::string_view text) {
  const auto skip_digits = [&] {
    const auto end = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(end);
    return end > 0;
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  if (text.starts_with('0')) {
    text.remove_prefix(1);
  } else if (!skip_digits()) {
    return false;
  }
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (!skip_digits()) return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (!skip_digits()) return false;
  }
  return text.empty();
}

// The text of a string. Most strings hold no escape, and are what stands between the quotes: that
// their characters are allowed has been checked already, when the document was indexed.
inline error_code read_string(ondemand::value value, std::string_view& text) {
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  if (type != ondemand::json_type::string) return simdjson::INCORRECT_TYPE;
  const std::string_view token = trim(value.raw_json_token());
  if (token.size() >= 2 && token.back() == '"' && token.find('\\') == std::string_view::npos) {
    text = token.substr(1, token.size() - 2);
    return simdjson::SUCCESS;
  }
  return value.get_string().get(text);
}

// On-demand parsing checks only what is read: this reads everything below `value`.
inline error_code walk(ondemand::value value, int depth) {
  if (depth > deepest) return simdjson::DEPTH_ERROR;
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  switch (type) {
    case ondemand::json_type::array: {
      ondemand::array array;
      if (const auto error = value.get_array().get(array)) return error;
      for (auto item : array) {
        ondemand::value child;
        if (const auto error = std::move(item).get(child)) return error;
        if (const auto error = walk(child, depth + 1)) return error;
      }
      return simdjson::SUCCESS;
    }
    case ondemand::json_type::object: {
      ondemand::object object;
      if (const auto error = value.get_object().get(object)) return error;
      for (auto item : object) {
        ondemand::field field;
        if (const auto error = std::move(item).get(field)) return error;
        if (const auto error = field.unescaped_key().error()) return error;
        if (const auto error = walk(field.value(), depth + 1)) return error;
      }
      return simdjson::SUCCESS;
    }
    case ondemand::json_type::string: {
      std::string_view text;
      return read_string(value, text);
    }
    case ondemand::json_type::number:
      return is_number(trim(value.raw_json_token())) ? simdjson::SUCCESS : simdjson::NUMBER_ERROR;
    case ondemand::json_type::boolean:
      return value.get_bool().error();
    case ondemand::json_type::null:
      return trim(value.raw_json_token()) == "null" ? simdjson::SUCCESS : simdjson::N_ATOM_ERROR;
  }
  return simdjson::TAPE_ERROR;
}

// The text of a value as it stands in the document, checked. JSON's null is no text.
inline error_code raw_text(ondemand::document& document, ondemand::value value,
                           std::string_view& text) {
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  const std::string_view token = trim(value.raw_json_token());
  if (const auto error = walk(value, 0)) return error;
  if (type != ondemand::json_type::array && type != ondemand::json_type::object) {
    text = type == ondemand::json_type::null ? std::string_view() : token;
    return simdjson::SUCCESS;
  }
  const char* next = nullptr;  // what follows the value: a comma or a bracket
  if (const auto error = document.current_location().get(next)) return error;
  text = trim({token.data(), static_cast<std::size_t>(next - token.data())});
  return simdjson::SUCCESS;
}

inline error_code is_null(ondemand::value& value, bool& null) {
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  null = type == ondemand::json_type::null;
  if (null && trim(value.raw_json_token()) != "null") return simdjson::N_ATOM_ERROR;
  return simdjson::SUCCESS;
}

inline error_code read_count(ondemand::value value, std::optional<std::uint64_t>& count) {
  bool null = false;
  if (const auto error = is_null(value, null)) return error;
  if (null) return simdjson::SUCCESS;
  std::uint64_t number = 0;
  if (const auto error = value.get_uint64().get(number)) return error;
  count = number;
  return simdjson::SUCCESS;
}

// Calls `read(key, value)` for each field of an object; a value that it does not read is skipped.
template <class Read>
error_code each_field(ondemand::object object, Read read) {
  for (auto item : object) {
    ondemand::field field;
    if (const auto error = std::move(item).get(field)) return error;
    std::string_view key;
    if (const auto error = field.unescaped_key().get(key)) return error;
    if (const error_code error = read(key, field.value())) return error;
  }
  return simdjson::SUCCESS;
}

template <class Read>
error_code each_field(ondemand::value value, Read read) {
  ondemand::object object;
  if (const auto error = value.get_object().get(object)) return error;
  return each_field(object, std::move(read));
}

template <class Read>
error_code each_item(ondemand::value value, Read read) {
  ondemand::array array;
  if (const auto error = value.get_array().get(array)) return error;
  for (auto item : array) {
    ondemand::value child;
    if (const auto error = std::move(item).get(child)) return error;
    if (const error_code error = read(child)) return error;
  }
  return simdjson::SUCCESS;
}

inline error_code read_errors(ondemand::value value, Envelope& envelope) {
  bool null = false;
  if (const auto error = is_null(value, null)) return error;
  if (null) return simdjson::SUCCESS;
  bool first = true;
  return each_item(value, [&](ondemand::value item) -> error_code {
    if (!std::exchange(first, false)) return simdjson::SUCCESS;
    return each_field(item, [&](std::string_view key, ondemand::value field) -> error_code {
      if (key == "code") {
        std::int64_t code = 0;
        if (field.get_int64().get(code) == simdjson::SUCCESS) {
          envelope.code = static_cast<int>(std::clamp<std::int64_t>(code, 0, INT32_MAX));
        }
      } else if (key == "message") {
        std::string_view text;
        if (read_string(field, text) == simdjson::SUCCESS) envelope.message = text;
      }
      return simdjson::SUCCESS;
    });
  });
}

inline std::unexpected<Error> not_understood(error_code error) {
  switch (error) {
    case simdjson::EMPTY:
      return fail(ErrorCode::protocol, Retry::again, "it is empty");
    case simdjson::INCORRECT_TYPE:
    case simdjson::NO_SUCH_FIELD:
    case simdjson::NUMBER_OUT_OF_RANGE:
      return fail(ErrorCode::protocol, Retry::again, "it does not hold what it should");
    case simdjson::TRAILING_CONTENT:
      return fail(ErrorCode::protocol, Retry::again, "something stands behind its end");
    case simdjson::INCOMPLETE_ARRAY_OR_OBJECT:
    case simdjson::UNCLOSED_STRING:
      return fail(ErrorCode::protocol, Retry::again, "it is cut off");
    default:
      return fail(ErrorCode::protocol, Retry::again, "it is not JSON");
  }
}

inline error_code parse(ondemand::parser& parser, std::string& text, ondemand::document& document) {
  text.reserve(text.size() + simdjson::SIMDJSON_PADDING);
  return parser.iterate(text.data(), text.size(), text.capacity()).get(document);
}

inline error_code check_end(ondemand::document& document) {
  return document.current_location().error() == simdjson::OUT_OF_BOUNDS
             ? simdjson::SUCCESS
             : simdjson::TRAILING_CONTENT;
}

// Reads an answer's envelope; `result(document, value)` and `info(key, value)` read what is special
// to a call. `result` is not called for null.
template <class ReadResult, class ReadInfo>
Result<Envelope> read_answer(ondemand::parser& parser, std::string& body, ReadResult result,
                             ReadInfo info) {
  Envelope envelope;
  ondemand::document document;
  if (const auto error = parse(parser, body, document)) return not_understood(error);
  ondemand::object top;
  if (const auto error = document.get_object().get(top)) return not_understood(error);
  bool told = false;
  const auto error =
      each_field(top, [&](std::string_view key, ondemand::value value) -> error_code {
        if (key == "success") {
          told = true;
          return value.get_bool().get(envelope.success);
        }
        if (key == "errors") return read_errors(value, envelope);
        if (key != "result" && key != "result_info") return simdjson::SUCCESS;
        bool null = false;
        if (const auto failed = is_null(value, null)) return failed;
        if (null) return simdjson::SUCCESS;
        if (key == "result_info") return each_field(value, info);
        return result(document, value);
      });
  if (error) return not_understood(error);
  if (const auto end = check_end(document)) return not_understood(end);
  if (!told) return not_understood(simdjson::NO_SUCH_FIELD);
  return envelope;
}

inline constexpr auto no_info = [](std::string_view, ondemand::value) { return simdjson::SUCCESS; };

}  // namespace sluice::store::cloudflare
