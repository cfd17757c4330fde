// EntryParser: one record, as JSON text or as fields, checked and made an entry. Internal to bulk:
// what the readers of all formats share.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bulk/entry_reader.h"

namespace sluice::bulk {

// The fields of a record. The views are good until the parser is used again.
struct Fields {
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  std::string_view metadata;  // valid JSON; empty: none
  bool key_is_base64 = false;
  bool value_is_base64 = false;
  std::optional<std::int64_t> expiration;
  std::optional<std::int64_t> expiration_ttl;
};

// What became of a record's text.
enum class Verdict : std::uint8_t {
  good,
  bad,        // JSON, but not a record
  malformed,  // not JSON
};

// Belongs to one reader; keeps scratch memory, so that a record costs no allocation.
class EntryParser {
 public:
  explicit EntryParser(std::int64_t now);
  ~EntryParser();
  EntryParser(const EntryParser&) = delete;
  EntryParser& operator=(const EntryParser&) = delete;

  // Takes the JSON object `text` apart. Unless good, `reason` says why.
  Verdict parse_object(std::string_view text, Fields& fields, std::string& reason);

  // Makes `fields` an entry of `out`, or returns false and says why in `reason`.
  bool accept(const Fields& fields, store::Block& out, std::string& reason);
  // The same for a list of keys: the value does not matter.
  bool accept_key(const Fields& fields, store::Block& out, std::string& reason);

  // The items in the JSON text or object `text`, one or more.
  Verdict accept_items(std::string_view text, const ItemFields& fields, store::Block& out,
                       std::string& reason);

  // Whether `text` is one valid JSON value.
  [[nodiscard]] bool is_json(std::string_view text);

 private:
  struct Scratch;
  std::int64_t now_;
  std::unique_ptr<Scratch> scratch_;
};

// Seconds as they are written in a field. Nothing if `text` is no whole number.
[[nodiscard]] std::optional<std::int64_t> parse_seconds(std::string_view text);

}  // namespace sluice::bulk
