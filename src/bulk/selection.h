// Selection and Filter: which entries a command is about.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::bulk {

// What the user asked for, the same for list, get, stats, delete, purge, export, copy and sync.
// Several parts combine with AND.
struct Selection {
  std::string prefix;                    // keys that begin with it
  std::optional<std::string> pattern;    // keys in which this RE2 expression is found, as grep does
  std::optional<std::string> search;     // metadata with this text in any value, at any depth
  std::optional<std::string> tag_field;  // metadata that has this field (`a.b`: b in a)
  std::optional<std::string> tag_value;  // … with this value
  std::optional<std::string> keys_file;  // only the keys in this file; "-" is stdin
  bool keys_end_in_nul = false;          // … where each key ends in a NUL, not a line feed
  bool all = false;                      // every entry, said explicitly
  std::optional<std::uint64_t> limit;    // at most so many entries

  // Whether anything above chooses entries. A limit does not: `delete --limit 5` alone would delete
  // five arbitrary entries.
  [[nodiscard]] bool selects_something() const;
};

// A Selection made ready to be asked about millions of entries: everything but `keys_file`, `all`
// and `limit`, which are the source's affair. It keeps scratch memory: one Filter a thread.
class Filter {
 public:
  // Refuses (invalid_argument) a pattern that does not compile, with the place and the reason; a
  // tag value without a tag field; and an empty pattern, text or field, which would choose
  // everything and are nearly always an unset variable in a script.
  static Result<Filter> compile(const Selection& selection);

  Filter(Filter&&) noexcept;
  Filter& operator=(Filter&&) noexcept;
  ~Filter();

  // Whether the entry is selected. `metadata` is JSON text, empty if there is none; metadata that
  // is not valid JSON never matches a search or a tag.
  //
  // - search: letter case is ignored by Unicode's full case folding, after composition (NFC). Looks
  //   at strings, and at numbers and booleans by their text; not at the names of fields.
  // - tag field F: the field with exactly this name; if there is none, and F has dots, the field
  //   that the dots lead to. With a value V: a string equal to V, or with V in its comma-separated
  //   list (spaces around commas apart); a number or boolean that is written V; or an array with
  //   such an element. Letter case counts.
  [[nodiscard]] bool matches(std::string_view key, std::string_view metadata) const;

  // Whether `matches` looks at the metadata at all.
  [[nodiscard]] bool reads_metadata() const;

 private:
  struct Program;
  explicit Filter(std::unique_ptr<Program> program);
  std::unique_ptr<Program> program_;
};

}  // namespace sluice::bulk
