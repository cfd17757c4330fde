#include "bulk/entry_reader.h"

#include <cstdlib>

#include "bulk/csv_reader.h"
#include "bulk/json_array_reader.h"
#include "bulk/keys_reader.h"
#include "bulk/ndjson_reader.h"

namespace sluice::bulk {

std::string describe(const BadRecord& record) {
  if (record.line != 0) return fmt::format("line {}: {}", record.line, record.reason);
  return fmt::format("byte {}: {}", record.offset, record.reason);
}

std::unique_ptr<EntryReader> make_entry_reader(Format format, const EntryReader::Options& options) {
  switch (format) {
    case Format::ndjson:
      return std::make_unique<NdjsonReader>(options);
    case Format::json:
      return std::make_unique<JsonArrayReader>(options);
    case Format::csv:
      return std::make_unique<CsvReader>(options);
    case Format::keys:
      return make_keys_reader(false, options);
  }
  std::abort();
}

std::unique_ptr<EntryReader> make_keys_reader(bool nul, const EntryReader::Options& options) {
  return std::make_unique<KeysReader>(nul, options);
}

}  // namespace sluice::bulk
