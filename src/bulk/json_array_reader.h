// The reader of a JSON array of entries. Internal to bulk: made by make_entry_reader.
#pragma once

#include <string>

#include "bulk/entry_parser.h"
#include "bulk/entry_reader.h"

namespace sluice::bulk {

// Cuts the array into the texts of its elements, and parses these one by one: the array may be
// larger than memory, and metadata stays as it is written.
class JsonArrayReader final : public EntryReader {
 public:
  explicit JsonArrayReader(const Options& options)
      : longest_(options.longest_record), items_(options.items), parser_(options.now) {}

  Result<> feed(std::string_view chunk, Records& out) override;
  Result<> finish(Records& out) override;
  void resume(std::uint64_t offset, std::uint64_t line) override;

 private:
  enum class State : std::uint8_t {
    before,         // the array
    first_element,  // after [
    element,        // after a comma
    nested,         // in an element that is an object or array
    scalar,         // in an element that is anything else
    after_element,
    behind,  // the array
  };
  // Moves over the element that `text` begins with or continues; where it ends, or npos.
  std::size_t scan_nested(std::string_view text);
  std::size_t scan_scalar(std::string_view text);
  // The element `text`, which ends at offset_.
  Result<> take(std::string_view text, Records& out);
  [[nodiscard]] std::unexpected<Error> unexpected(char found, std::string_view wanted) const;

  const std::size_t longest_;
  const std::optional<ItemFields> items_;
  EntryParser parser_;
  Fields fields_;
  std::string reason_;
  State state_ = State::before;
  // Within an element. Invariant: depth_ counts the brackets that are open outside of strings, of
  // either kind; the parser finds where the kinds do not match.
  std::size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;        // the byte before was a backslash that begins an escape
  std::string begun_;           // the beginning of an element that the last chunk ended in
  std::uint64_t begin_ = 0;     // where the element begins
  std::uint64_t offset_ = 0;    // of the next byte
  std::uint64_t end_ = 0;       // of the last element
  std::size_t mark_bytes_ = 0;  // bytes of a byte-order mark seen
};

}  // namespace sluice::bulk
