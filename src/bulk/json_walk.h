// Walking a JSON value with simdjson, checking all of it on the way. This header is heavy: only
// source files include it.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>

namespace sluice::bulk {

// Deeper metadata is refused: the walk is recursive.
inline constexpr int kDeepestJson = 200;

// Whether `text` is a number by RFC 8259, section 6, of any size: metadata is passed on as text, so
// what a double cannot hold is no error.
[[nodiscard]] bool is_json_number(std::string_view text);

// Whether every backslash in `text`, the inside of a string, begins an escape of RFC 8259,
// section 7.
[[nodiscard]] bool has_valid_escapes(std::string_view text);

// The text of the scalar at which `value` stands, without the white space after it.
[[nodiscard]] inline std::string_view scalar_text(simdjson::ondemand::value& value) {
  std::string_view token = value.raw_json_token();
  while (!token.empty() && (token.back() == ' ' || token.back() == '\n' || token.back() == '\r' ||
                            token.back() == '\t')) {
    token.remove_suffix(1);
  }
  return token;
}

// simdjson's on-demand parser checks only what is asked for, and number ranges beyond the grammar.
// This visits every value under `value` and calls `visit(scalar, type, text)` for each string,
// number, boolean and null, where `text` is as written, quotes included; `visit` may consume the
// scalar. False: not valid JSON, or too deep.
template <class Visit>
[[nodiscard]] bool walk_json(simdjson::ondemand::value value, Visit& visit, int depth = 0) {
  using simdjson::ondemand::json_type;
  json_type type{};
  if (depth > kDeepestJson || value.type().get(type) != simdjson::SUCCESS) return false;
  switch (type) {
    case json_type::object: {
      simdjson::ondemand::object object;
      if (value.get_object().get(object) != simdjson::SUCCESS) return false;
      for (auto field : object) {
        simdjson::ondemand::value child;
        if (field.error() != simdjson::SUCCESS) return false;
        const char* name = field.key().value_unsafe().raw();
        // The name ends before the first quote that is not escaped; stage 1 has found that there is
        // one.
        const char* end = name;
        while (*end != '"') end += *end == '\\' ? 2 : 1;
        if (!has_valid_escapes({name, static_cast<std::size_t>(end - name)})) return false;
        if (field.value().get(child) != simdjson::SUCCESS) return false;
        if (!walk_json(child, visit, depth + 1)) return false;
      }
      return true;
    }
    case json_type::array: {
      simdjson::ondemand::array array;
      if (value.get_array().get(array) != simdjson::SUCCESS) return false;
      for (auto element : array) {
        simdjson::ondemand::value child;
        if (element.get(child) != simdjson::SUCCESS) return false;
        if (!walk_json(child, visit, depth + 1)) return false;
      }
      return true;
    }
    case json_type::string: {
      const std::string_view text = scalar_text(value);
      if (text.size() < 2 || text.back() != '"') return false;
      if (!has_valid_escapes(text.substr(1, text.size() - 2))) return false;
      visit(value, type, text);
      return true;
    }
    case json_type::number: {
      const std::string_view text = scalar_text(value);
      if (!is_json_number(text)) return false;
      visit(value, type, text);
      return true;
    }
    case json_type::boolean: {
      const std::string_view text = scalar_text(value);
      if (text != "true" && text != "false") return false;
      visit(value, type, text);
      return true;
    }
    case json_type::null: {
      const std::string_view text = scalar_text(value);
      if (text != "null") return false;
      visit(value, type, text);
      return true;
    }
  }
  return false;
}

struct VisitNothing {
  void operator()(simdjson::ondemand::value&, simdjson::ondemand::json_type,
                  std::string_view) const {}
};

// The same for a value of which nothing is wanted.
[[nodiscard]] inline bool is_valid_json(simdjson::ondemand::value value) {
  const VisitNothing nothing;
  return walk_json(value, nothing);
}

// Keeps a copy of a text with the bytes behind it that simdjson wants to read.
class PaddedText {
 public:
  // `before`, `text` and `after` in one piece. The view is good until the next call.
  std::string_view assign(std::string_view before, std::string_view text, std::string_view after);
  [[nodiscard]] std::size_t capacity() const { return buffer_.size(); }
  // Gives back the memory that one very long text took.
  void shrink();

 private:
  std::string buffer_;
};

// Walks the JSON value, a scalar perhaps, that `text` is but for white space around it. `parser`
// and `scratch` are what that is done with. False: it is not valid, too deep, or not the only one.
template <class Visit>
[[nodiscard]] bool walk_json_text(std::string_view text, simdjson::ondemand::parser& parser,
                                  PaddedText& scratch, Visit& visit) {
  // In an array, since simdjson treats a scalar that is the whole document differently.
  const std::string_view padded = scratch.assign("[", text, "]");
  simdjson::ondemand::document document;
  simdjson::ondemand::array array;
  if (parser.iterate(padded.data(), padded.size(), scratch.capacity()).get(document) !=
          simdjson::SUCCESS ||
      document.get_array().get(array) != simdjson::SUCCESS) {
    return false;
  }
  std::size_t values = 0;
  for (auto element : array) {
    simdjson::ondemand::value value;
    if (++values > 1 || element.get(value) != simdjson::SUCCESS || !walk_json(value, visit)) {
      return false;
    }
  }
  // The parser does not look behind the end of the document by itself.
  return values == 1 && document.current_location().error() == simdjson::OUT_OF_BOUNDS;
}

// The same for a text of which nothing is wanted.
[[nodiscard]] inline bool is_json(std::string_view text, simdjson::ondemand::parser& parser,
                                  PaddedText& scratch) {
  const VisitNothing nothing;
  return walk_json_text(text, parser, scratch, nothing);
}

}  // namespace sluice::bulk
