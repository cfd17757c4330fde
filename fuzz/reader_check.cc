#include "reader_check.h"

#include <algorithm>
#include <string>

#include "bulk/entry_writer.h"
#include "require.h"

namespace sluice::fuzz {

namespace {

using bulk::EntryReader;
using bulk::Records;

struct Reading {
  Records records;
  std::string error;
};

Reading read(EntryReader& reader, std::string_view text, std::size_t piece) {
  Reading reading;
  Result<> result;
  while (result && !text.empty()) {
    const std::string chunk(text.substr(0, piece));  // ends where its memory ends
    text.remove_prefix(chunk.size());
    result = reader.feed(chunk, reading.records);
  }
  if (result) result = reader.finish(reading.records);
  if (!result) reading.error = result.error().message;
  return reading;
}

bool same(const store::EntryView& a, const store::EntryView& b) {
  return a.key == b.key && a.value == b.value && a.metadata == b.metadata &&
         a.expiration == b.expiration && a.presence == b.presence;
}

bool same_entries(std::span<const store::EntryView> a, std::span<const store::EntryView> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
}

}  // namespace

void check_reader(const MakeReader& make, bulk::Format format, bool nul, std::string_view text,
                  std::size_t piece) {
  const Reading whole = read(*make(), text, std::max<std::size_t>(text.size(), 1));
  const Records& records = whole.records;
  require(records.ends.size() == records.entries.size(), "every entry has its offset");
  require(std::is_sorted(records.ends.begin(), records.ends.end()), "offsets grow");
  require(records.end <= text.size(), "the end lies in the input");
  require(records.ends.empty() || records.ends.back() <= records.end, "no entry is behind the end");
  for (const store::EntryView& entry : records.entries)
    require(!entry.key.empty(), "keys are not empty");
  for (const bulk::BadRecord& bad : records.bad)
    require(!bad.reason.empty(), "a bad record has a reason");

  const Reading pieces = read(*make(), text, piece);
  require(pieces.error == whole.error, "pieces give the same error");
  require(same_entries(pieces.records.entries.entries(), records.entries.entries()), "… entries");
  require(pieces.records.ends == records.ends && pieces.records.end == records.end, "… offsets");
  require(std::equal(pieces.records.bad.begin(), pieces.records.bad.end(), records.bad.begin(),
                     records.bad.end(),
                     [](const bulk::BadRecord& a, const bulk::BadRecord& b) {
                       return describe(a) == describe(b) && a.offset == b.offset;
                     }),
          "… bad records");

  if (!records.ends.empty()) {
    const std::size_t middle = (records.ends.size() - 1) / 2;
    const std::size_t offset = records.ends[middle];
    const std::unique_ptr<EntryReader> reader = make();
    if (reader->needs_header()) {
      Records passed;
      require(reader->feed(text.substr(0, offset), passed).has_value(),
              "what was read is read again");
    }
    reader->resume(offset, 1);
    const Reading rest = read(*reader, text.substr(offset), piece);
    require(
        same_entries(rest.records.entries.entries(), records.entries.entries().subspan(middle + 1)),
        "going on gives the rest");
    require(rest.error.empty() == whole.error.empty(), "… and the same end");
  }

  bulk::EntryWriter writer({.format = format, .nul = nul});
  std::string written;
  writer.begin(written);
  for (const store::EntryView& entry : records.entries) writer.append(entry, written);
  writer.end(written);
  const Reading again = read(*make(), written, piece);
  require(again.error.empty() && again.records.bad.empty(), "what is written can be read");
  require(same_entries(again.records.entries.entries(), records.entries.entries()),
          "… and is the same");
}

}  // namespace sluice::fuzz
