#include "bulk/selection.h"

#include <re2/re2.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/ascii.h"
#include "base/utf8.h"
#include "bulk/json_walk.h"

namespace sluice::bulk {

namespace ondemand = simdjson::ondemand;

namespace {

bool is_ascii(std::string_view text) {
  unsigned char all = 0;
  for (const char c : text) all |= static_cast<unsigned char>(c);  // vectorized by the compiler
  return all < 0x80;
}

// False: `text` is not valid UTF-8.
bool fold_case(std::string_view text, std::vector<utf8proc_int32_t>& out) {
  constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto size = static_cast<utf8proc_ssize_t>(text.size());
  if (out.size() < text.size()) out.resize(text.size());
  const auto room = [&] { return static_cast<utf8proc_ssize_t>(out.size()); };
  utf8proc_ssize_t length = utf8proc_decompose(bytes, size, out.data(), room(), kOptions);
  if (length > room()) {  // folding lengthens some characters: ß becomes ss
    out.resize(static_cast<std::size_t>(length));
    length = utf8proc_decompose(bytes, size, out.data(), room(), kOptions);
  }
  if (length >= 0) length = utf8proc_normalize_utf32(out.data(), length, kOptions);
  if (length < 0) return false;
  out.resize(static_cast<std::size_t>(length));
  return true;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

bool list_holds(std::string_view list, std::string_view wanted) {
  for (;;) {
    const std::size_t comma = list.find(',');
    if (trim(list.substr(0, comma)) == wanted) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

// Where in `pattern` RE2 stopped, as far as its message tells.
std::string describe_place(const std::string& pattern, const RE2& compiled) {
  const std::string& fragment = compiled.error_arg();
  if (compiled.error_code() == RE2::ErrorMissingParen || fragment.empty() ||
      fragment.size() == pattern.size()) {
    return fmt::format("at character {}", pattern.size());
  }
  const std::size_t at = pattern.find(fragment);
  return at == std::string::npos
             ? fmt::format("at \"{}\"", printable(fragment))
             : fmt::format("at character {}, \"{}\"", at + 1, printable(fragment));
}

}  // namespace

struct Filter::Program {
  std::string prefix;
  std::unique_ptr<RE2> pattern;

  // --search. The needle in the two forms in which texts are compared.
  bool searches = false;
  bool needle_is_ascii = false;
  std::string lower_needle;                     // if it is ASCII
  std::vector<utf8proc_int32_t> folded_needle;  // code points

  std::optional<std::string> tag_field;
  std::optional<std::string> tag_value;
  std::string last_name;  // what follows the last dot of tag_field

  // Scratch memory of `matches`, kept so that it allocates nothing.
  ondemand::parser parser;
  PaddedText padded;
  PaddedText inner;
  std::string lower;
  std::vector<utf8proc_int32_t> folded;

  bool metadata_matches(std::string_view metadata);
  bool may_match(std::string_view metadata);
  bool text_matches(std::string_view text);
  bool scalar_matches(ondemand::value& scalar, ondemand::json_type type, std::string_view text);
  bool has_tag(std::string_view object, std::string_view path);
  bool value_is_wanted(ondemand::value value, bool in_array);
};

bool Filter::Program::text_matches(std::string_view text) {
  if (is_ascii(text)) {
    if (!needle_is_ascii || text.size() < lower_needle.size()) return false;
    return std::search(text.begin(), text.end(), lower_needle.begin(), lower_needle.end(),
                       [](char a, char b) { return ascii_lower(a) == b; }) != text.end();
  }
  if (!fold_case(text, folded)) return false;
  return std::search(folded.begin(), folded.end(), folded_needle.begin(), folded_needle.end()) !=
         folded.end();
}

bool Filter::Program::scalar_matches(ondemand::value& scalar, ondemand::json_type type,
                                     std::string_view text) {
  if (type == ondemand::json_type::null) return false;
  if (type != ondemand::json_type::string) return text_matches(text);
  text = text.substr(1, text.size() - 2);
  if (text.find('\\') == std::string_view::npos) return text_matches(text);
  // Half a surrogate pair (\ud800) is no text: it stays as it is written.
  if (std::string_view unescaped; scalar.get_string().get(unescaped) == simdjson::SUCCESS) {
    text = unescaped;
  }
  return text_matches(text);
}

// A cheap look at the raw text, which rules out most entries. False only if the metadata cannot
// match: without a backslash, every name and value stands in the text as it is.
bool Filter::Program::may_match(std::string_view metadata) {
  if (std::memchr(metadata.data(), '\\', metadata.size()) != nullptr) return true;
  const auto holds = [](std::string_view text, std::string_view part) {
    return memmem(text.data(), text.size(), part.data(), part.size()) != nullptr;
  };
  if (tag_field && !holds(metadata, last_name)) return false;
  if (tag_value && !holds(metadata, *tag_value)) return false;
  // Characters beyond ASCII may fold to ASCII ones (the Kelvin sign to k).
  if (searches && is_ascii(metadata)) {
    if (!needle_is_ascii) return false;
    lower.resize(metadata.size());
    std::transform(metadata.begin(), metadata.end(), lower.begin(), ascii_lower);
    if (!holds(lower, lower_needle)) return false;
  }
  return true;
}

bool Filter::Program::metadata_matches(std::string_view metadata) {
  if (!may_match(metadata)) return false;
  bool found = !searches;
  const auto visit = [&](ondemand::value& scalar, ondemand::json_type type, std::string_view as) {
    if (!found) found = scalar_matches(scalar, type, as);
  };
  if (!walk_json_text(metadata, parser, padded, visit)) return false;
  if (!found) return false;
  return !tag_field || has_tag(metadata, *tag_field);
}

// `object` is valid JSON.
bool Filter::Program::has_tag(std::string_view object, std::string_view path) {
  // The values under names that begin `path`, with what of the path is behind their dot.
  struct Step {
    std::string_view value;
    std::string_view rest;
  };
  std::vector<Step> steps;  // allocates only for a path with dots
  const std::string_view text = inner.assign("", object, "");
  ondemand::document document;
  ondemand::object fields;
  if (parser.iterate(text.data(), text.size(), inner.capacity()).get(document) !=
          simdjson::SUCCESS ||
      document.get_object().get(fields) != simdjson::SUCCESS) {
    return false;
  }
  for (auto field : fields) {
    std::string_view name;
    ondemand::value value;
    if (field.unescaped_key().get(name) != simdjson::SUCCESS ||
        field.value().get(value) != simdjson::SUCCESS) {
      return false;
    }
    if (name == path) return !tag_value || value_is_wanted(value, false);
    if (path.size() > name.size() + 1 && path[name.size()] == '.' && path.starts_with(name)) {
      ondemand::object nested;
      std::string_view raw;
      ondemand::json_type type{};
      if (value.type().get(type) == simdjson::SUCCESS && type == ondemand::json_type::object &&
          value.get_object().get(nested) == simdjson::SUCCESS &&
          nested.raw_json().get(raw) == simdjson::SUCCESS) {
        // The place in the caller's text: `inner` is overwritten by the next step.
        const auto at = static_cast<std::size_t>(raw.data() - text.data());
        steps.push_back({object.substr(at, raw.size()), path.substr(name.size() + 1)});
      }
    }
  }
  return std::any_of(steps.begin(), steps.end(),
                     [&](const Step& step) { return has_tag(step.value, step.rest); });
}

bool Filter::Program::value_is_wanted(ondemand::value value, bool in_array) {
  ondemand::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS) return false;
  switch (type) {
    case ondemand::json_type::string: {
      std::string_view text;
      if (value.get_string().get(text) != simdjson::SUCCESS) return false;
      return text == *tag_value || (!in_array && list_holds(text, *tag_value));
    }
    case ondemand::json_type::number:
    case ondemand::json_type::boolean:
      return scalar_text(value) == *tag_value;
    case ondemand::json_type::array: {
      ondemand::array array;
      if (in_array || value.get_array().get(array) != simdjson::SUCCESS) return false;
      for (auto element : array) {
        ondemand::value child;
        if (element.get(child) == simdjson::SUCCESS && value_is_wanted(child, true)) return true;
      }
      return false;
    }
    default:
      return false;
  }
}

bool Selection::selects_something() const {
  return all || !prefix.empty() || pattern || search || tag_field || keys_file;
}

Filter::Filter(std::unique_ptr<Program> program) : program_(std::move(program)) {}
Filter::Filter(Filter&&) noexcept = default;
Filter& Filter::operator=(Filter&&) noexcept = default;
Filter::~Filter() = default;

Result<Filter> Filter::compile(const Selection& selection) {
  auto program = std::make_unique<Program>();
  program->prefix = selection.prefix;

  constexpr std::string_view kEmpty =
      "{} is empty, which would choose every entry{}; leave it out, or say --all-keys.";
  if (selection.pattern) {
    if (selection.pattern->empty()) {
      return fail(ErrorCode::invalid_argument, kEmpty, "--pattern", "");
    }
    RE2::Options options;
    options.set_log_errors(false);
    program->pattern = std::make_unique<RE2>(*selection.pattern, options);
    if (!program->pattern->ok()) {
      return fail(ErrorCode::invalid_argument,
                  "--pattern does not compile: {} ({}). The syntax is RE2's; a backslash makes a "
                  "special character ordinary.",
                  printable(program->pattern->error()),
                  describe_place(*selection.pattern, *program->pattern));
    }
  }
  if (selection.search) {
    if (selection.search->empty()) {
      return fail(ErrorCode::invalid_argument, kEmpty, "--search", " with metadata");
    }
    program->searches = true;
    program->needle_is_ascii = is_ascii(*selection.search);
    program->lower_needle = *selection.search;
    std::transform(program->lower_needle.begin(), program->lower_needle.end(),
                   program->lower_needle.begin(), ascii_lower);
    if (!fold_case(*selection.search, program->folded_needle)) {
      return fail(ErrorCode::invalid_argument,
                  "--search is not UTF-8; metadata is, so it would find nothing.");
    }
    // The Kelvin sign is not ASCII, but what it folds to is.
    if (!program->needle_is_ascii &&
        std::all_of(program->folded_needle.begin(), program->folded_needle.end(),
                    [](utf8proc_int32_t c) { return c < 0x80; })) {
      program->needle_is_ascii = true;
      program->lower_needle.assign(program->folded_needle.begin(), program->folded_needle.end());
    }
  }
  if (selection.tag_value && !selection.tag_field) {
    return fail(ErrorCode::invalid_argument,
                "--tag-value needs --tag-field, which says the field that has the value.");
  }
  if (selection.tag_field) {
    if (selection.tag_field->empty()) {
      return fail(ErrorCode::invalid_argument,
                  "--tag-field is empty; give the name of a field of the metadata.");
    }
    program->tag_field = selection.tag_field;
    program->tag_value = selection.tag_value;
    program->last_name = selection.tag_field->substr(selection.tag_field->rfind('.') + 1);
  }
  return Filter(std::move(program));
}

bool Filter::matches(std::string_view key, std::string_view metadata) const {
  if (!key.starts_with(program_->prefix)) return false;
  if (program_->pattern != nullptr &&
      !RE2::PartialMatch(re2::StringPiece(key.data(), key.size()), *program_->pattern)) {
    return false;
  }
  if (!reads_metadata()) return true;
  return !metadata.empty() && program_->metadata_matches(metadata);
}

bool Filter::reads_metadata() const {
  return program_->searches || program_->tag_field.has_value();
}

}  // namespace sluice::bulk
