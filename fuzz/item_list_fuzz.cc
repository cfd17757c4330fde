#include <string>
#include <string_view>
#include <vector>

#include "bulk/entry_reader.h"
#include "require.h"

namespace {

using namespace sluice;

struct Read {
  std::vector<std::string> items;
  std::size_t bad = 0;
  bool ended = false;
  friend bool operator==(const Read&, const Read&) = default;
};

Read read(bulk::Format format, const bulk::ItemFields& fields, std::string_view text,
          std::size_t piece) {
  const auto reader =
      bulk::make_entry_reader(format, {.now = 0, .longest_record = 4096, .items = fields});
  bulk::Records records;
  bool good = true;
  for (std::size_t at = 0; good && at < text.size(); at += piece) {
    good = reader->feed(text.substr(at, piece), records).has_value();
  }
  if (good) good = reader->finish(records).has_value();
  Read result{.items = {}, .bad = records.bad.size(), .ended = good};
  fuzz::require(records.ends.size() == records.entries.size(), "every item has an end");
  for (const store::EntryView& entry : records.entries) result.items.emplace_back(entry.key);
  return result;
}

}  // namespace

// The first byte chooses the format and the fields, the second the size of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  constexpr bulk::Format formats[] = {bulk::Format::csv, bulk::Format::json, bulk::Format::ndjson};
  const bulk::ItemFields fields{.names = {"url", "key"},
                                .column = (data[0] & 4) != 0 ? std::size_t{2} : 0,
                                .whole_objects = (data[0] & 8) != 0};
  const bulk::Format format = formats[data[0] % 3];
  const Read whole = read(format, fields, text, text.size() + 1);
  const Read pieces = read(format, fields, text, std::size_t{data[1]} % 61 + 1);
  fuzz::require(whole == pieces, "pieces of any size read the same");
  return 0;
}
