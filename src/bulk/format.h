// Format: the forms in which entries leave and enter Sluice.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::bulk {

// EntryWriter says what each looks like, EntryReader what it accepts of each. (`table`, the fifth
// value of --format, is for people only and belongs to the command line.)
enum class Format : std::uint8_t {
  ndjson,  // one JSON object a line
  json,    // one JSON array, as Cloudflare's bulk put and wrangler take it
  csv,     // RFC 4180 with a header
  keys,    // one key a line, or NUL-ended
};

// "ndjson" → Format::ndjson; nothing for any other word.
[[nodiscard]] std::optional<Format> parse_format(std::string_view name);
[[nodiscard]] std::string_view name(Format format);

// The format that the ending of a file's name stands for, in either case: .ndjson and .jsonl,
// .json, .csv, .keys. Nothing for any other (.txt may be anything).
[[nodiscard]] std::optional<Format> format_of_name(std::string_view path);

// What compresses into files with the ending of this name (.gz: "gzip"; .zst, .xz, .bz2); empty for
// any other.
[[nodiscard]] std::string_view compressor_of_name(std::string_view path);

// The format of an input that begins with `beginning`, by its first character that is not white
// space: `[` json, `{` ndjson, anything else csv. Nothing while there is only white space. Never
// keys: a list of keys looks like anything.
[[nodiscard]] std::optional<Format> detect_format(std::string_view beginning);

}  // namespace sluice::bulk
