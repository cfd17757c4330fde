// EntryReader: text in any of the formats, fed in pieces, as entries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "bulk/format.h"
#include "store/block.h"

namespace sluice::bulk {

// A record that is no entry, and why.
struct BadRecord {
  std::uint64_t line = 0;    // 1 is the first; 0 in a JSON array, where the offset tells
  std::uint64_t offset = 0;  // of its first byte
  std::string reason;        // "\"key\" is a number, not a string"
};

// "line 7: \"key\" is a number, not a string", "byte 812: …".
[[nodiscard]] std::string describe(const BadRecord& record);

// What has been read.
struct Records {
  store::Block entries;             // present; from a list of keys: listed
  std::vector<std::uint64_t> ends;  // ends[i]: the offset behind entries[i]
  std::vector<BadRecord> bad;       // in the order of the input
  // The offset behind the last record, good or bad, that has been read so far, be it into these
  // Records or into others before. Set by every call of the reader.
  std::uint64_t end = 0;

  // Forgets the entries and the bad records, but not where they ended.
  void clear() {
    entries.clear();
    ends.clear();
    bad.clear();
  }
};

// Where the items of a list are: texts that are no entries, such as URLs.
struct ItemFields {
  // The CSV column (in any letter case) or JSON field that holds them: the first of these names
  // that is there. In a JSON field an array of texts is several items.
  std::vector<std::string> names;
  // Or the CSV column with this number, from 1 on: then there is no header.
  std::size_t column = 0;
  // A JSON object without such a field is an item itself, as the text that it is.
  bool whole_objects = false;
};

// Reads records as their text arrives, in pieces of any size.
//
// A record that can be told from the next one but is no entry is reported in Records::bad, and
// reading goes on behind it. An Error (invalid_argument) says that the rest cannot be read: a
// truncated input, a JSON array with something in it that is not JSON, a CSV header with an unknown
// column, a record that is too long. Entries read before the error are in `out` and are good; the
// reader must not be used again.
//
// The fields of an entry are those that EntryWriter writes (see entry_writer.h), in any order:
// - `key` (required, not empty), `value` (required, a string), `base64` (whether the value is),
//   `key_base64`, `metadata` (any JSON; kept as it is written, byte for byte, without the white
//   space around it), `expiration` (seconds since 1970), `expiration_ttl` (seconds from now; wins,
//   as at Cloudflare).
// - JSON null stands for "none" where a field is optional. A field that is there twice makes the
//   record bad. Fields of other names are ignored, as wrangler does.
// - csv: the header names the columns, in any order and letter case; there must be `key` and
//   `value`. An unknown column is an error. An empty field is "none". Lines end in LF or CRLF,
//   empty ones are passed over.
// - keys: see make_keys_reader.
// A byte-order mark before the input is passed over.
class EntryReader {
 public:
  struct Options {
    std::int64_t now = 0;  // seconds since 1970: what `expiration_ttl` counts from
    // The longest record. 25 MiB, Cloudflare's longest value, need 150 MiB when every byte of it is
    // written as \u00XX.
    std::size_t longest_record = std::size_t{256} << 20;
    // Items are read instead of entries, and come out as the keys of listed entries. JSON texts are
    // items, too. (A list of keys is one of items as it is.)
    std::optional<ItemFields> items{};
  };

  virtual ~EntryReader() = default;

  // Reads `chunk`, which follows the one before, and adds to `out`.
  virtual Result<> feed(std::string_view chunk, Records& out) = 0;
  // The input has ended.
  virtual Result<> finish(Records& out) = 0;

  // Goes on behind a record that an earlier reader has read: the next chunk begins at `offset`,
  // which was Records::end, in line `line`. A CSV reader must have been fed the header before
  // (`needs_header` tells); what else it was fed is forgotten.
  virtual void resume(std::uint64_t offset, std::uint64_t line) = 0;
  [[nodiscard]] virtual bool needs_header() const { return false; }
};

// A reader of any format but Format::keys.
[[nodiscard]] std::unique_ptr<EntryReader> make_entry_reader(Format format,
                                                             const EntryReader::Options& options);

// A reader of a list of keys, which come out as entries that are listed: one on each line (LF or
// CRLF), or with `nul` each ended by a NUL. The last one need not be ended; empty ones are passed
// over.
//
// A line that is a JSON object is the key in its field "key" (with "key_base64", decoded), so that
// the file of failed keys of a job, and an export or listing in NDJSON, are lists of keys, too. A
// JSON object without it is a bad record, and so is a line that begins with {"key" and is not valid
// JSON: both are more likely a damaged or wrong file than a key. Any other line is the key itself,
// whatever bytes it has.
[[nodiscard]] std::unique_ptr<EntryReader> make_keys_reader(bool nul,
                                                            const EntryReader::Options& options);

}  // namespace sluice::bulk
