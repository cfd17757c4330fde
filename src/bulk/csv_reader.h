// The reader of CSV (RFC 4180). Internal to bulk: made by make_entry_reader.
#pragma once

#include <string>
#include <vector>

#include "bulk/entry_parser.h"
#include "bulk/entry_reader.h"

namespace sluice::bulk {

class CsvReader final : public EntryReader {
 public:
  explicit CsvReader(const Options& options)
      : longest_(options.longest_record), items_(options.items), parser_(options.now) {}

  Result<> feed(std::string_view chunk, Records& out) override;
  Result<> finish(Records& out) override;
  void resume(std::uint64_t offset, std::uint64_t line) override;
  [[nodiscard]] bool needs_header() const override { return columns_.empty(); }

 private:
  enum class Column : std::uint8_t {
    key,
    value,
    base64,
    metadata,
    expiration,
    expiration_ttl,
    other,
  };
  enum class State : std::uint8_t {
    field,     // at its first byte
    plain,     // in a field without quotes
    quoted,    // in a field with quotes
    quote,     // at a quote in such a field: its end, or the first of two
    line_end,  // after CR
    bad,       // in a record with a mistake, up to the end of its line
  };
  void end_field();
  Result<> end_record(Records& out);
  Result<> read_header();
  // Of a list of items: by the names in the header, or by the number of the column.
  Result<> find_item_column();
  // Makes the fields an entry of `out`, or returns false with `reason_`.
  bool accept(Records& out);
  void spoil(std::string_view reason);
  void begin_record();

  const std::size_t longest_;
  const std::optional<ItemFields> items_;
  EntryParser parser_;
  std::string reason_;
  std::vector<Column> columns_;  // empty until the header has been read

  State state_ = State::field;
  // The record that is read: the bytes of its fields, without the quotes, one behind the other;
  // ends_[i] is where field i ends in text_. Fields beyond those that the header has are counted
  // only.
  std::string text_;
  std::vector<std::size_t> ends_;
  std::size_t fields_ = 0;
  std::uint64_t begin_ = 0;  // where the record begins
  std::uint64_t begin_line_ = 1;

  std::uint64_t offset_ = 0;  // of the next byte
  std::uint64_t line_ = 1;
};

}  // namespace sluice::bulk
