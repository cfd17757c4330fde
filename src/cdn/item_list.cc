#include "cdn/item_list.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace sluice::cdn {

namespace {

std::optional<bulk::Format> format_of_name(std::string path) {
  for (const std::string_view packed : {".gz", ".zst"}) {
    if (path.ends_with(packed)) path.resize(path.size() - packed.size());
  }
  if (path.ends_with(".csv")) return bulk::Format::csv;
  if (path.ends_with(".json")) return bulk::Format::json;
  if (path.ends_with(".ndjson") || path.ends_with(".jsonl")) return bulk::Format::ndjson;
  if (path.ends_with(".txt")) return bulk::Format::keys;
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<bulk::RecordFeed>> open_item_list(io::Executor executor, io::Stop& stop,
                                                         const std::string& path, PurgeKind kind,
                                                         const ListFormat& format) {
  bulk::EntryFile::Options options;
  options.nul = format.nul;
  const bool automatic = format.name.empty() || format.name == "auto";
  options.format = format.name == "text" ? bulk::Format::keys
                   : automatic           ? format_of_name(path)
                                         : bulk::parse_format(format.name);
  if (!options.format && !format.column.empty()) options.format = bulk::Format::csv;
  if (format.nul) options.format = bulk::Format::keys;
  options.or_else = bulk::Format::keys;
  bulk::ItemFields fields;
  const bool csv = options.format == bulk::Format::csv;
  const std::string& chosen = csv ? format.column : format.field;
  if (csv && !chosen.empty() &&
      std::ranges::all_of(chosen, [](char c) { return c >= '0' && c <= '9'; })) {
    std::from_chars(chosen.data(), chosen.data() + chosen.size(), fields.column);
    if (fields.column == 0) {
      return fail(ErrorCode::invalid_argument, "--column {}: columns are counted from 1", chosen);
    }
  } else if (!chosen.empty()) {
    fields.names = {chosen};
  } else {
    // In a variant of a file, the URL alone is not the item.
    if (kind != PurgeKind::files || csv) fields.names.emplace_back(column_of(kind));
    fields.names.emplace_back("key");
    fields.whole_objects = kind == PurgeKind::files && !csv;
  }
  options.reader.items = std::move(fields);
  return bulk::RecordFeed::open(executor, stop, path, options);
}

}  // namespace sluice::cdn
