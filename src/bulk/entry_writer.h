// EntryWriter: entries as text, in each of the formats.
#pragma once

#include <cstdint>
#include <string>

#include "bulk/format.h"
#include "store/block.h"

namespace sluice::bulk {

// `"key":…`, with `,"key_base64":true` when the key is not UTF-8: how every JSON object of ours
// names a key.
void append_key_field(std::string_view key, std::string& out);

// Appends entries to a buffer that the caller writes out and clears whenever it likes. What it
// writes, the readers of entry_reader.h read back as the same entries.
//
// - ndjson: {"key":…,"value":…,"base64":true,"metadata":…,"expiration":…} and a line feed. Fields
//   that an entry does not have are left out: `value` when it is only listed, `base64` when the
//   value is UTF-8. A value that is not UTF-8 is written as base64. Metadata is the store's text,
//   unchanged, but for line breaks between its tokens, which become spaces.
// - json: the same objects as one array, one on each line; valid JSON with no entry, too.
// - csv: RFC 4180, with CRLF and the header key,value,base64,metadata,expiration. Without values,
//   the columns value and base64 are left out; without metadata, that one.
// - keys: one key a line. A key that would not be read back as it is (empty, with a line feed, a
//   carriage return at its end, a byte-order mark at its beginning, or looking like a JSON object)
//   is written as {"key":…}, which the keys reader takes. With `nul`, each key ends in a NUL
//   instead, and only keys with a NUL in them or looking like a JSON object are written so.
//
// Keys that are not UTF-8 (SQLite can hold them): in JSON, `key` is base64 and "key_base64":true
// follows it; in csv and keys they are the bytes themselves.
class EntryWriter {
 public:
  struct Options {
    Format format = Format::ndjson;
    bool values = true;    // csv: with the columns for them
    bool metadata = true;  // write it
    bool nul = false;      // keys: end with NUL
    // How many entries the output holds already: when it is continued, nothing opens it again.
    std::uint64_t entries_before = 0;
  };

  explicit EntryWriter(const Options& options)
      : options_(options), empty_(options.entries_before == 0) {}

  // What stands before the first entry. Nothing if the output is continued.
  void begin(std::string& out) const;
  // An entry that is listed or present; what is missing or failed is no entry.
  void append(const store::EntryView& entry, std::string& out);
  // What stands behind the last entry.
  void end(std::string& out) const;

 private:
  void append_object(const store::EntryView& entry, std::string& out) const;
  void append_record(const store::EntryView& entry, std::string& out) const;
  void append_key(std::string_view key, std::string& out) const;

  Options options_;
  bool empty_;
};

}  // namespace sluice::bulk
