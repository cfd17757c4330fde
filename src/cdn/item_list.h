// item_list: reads what is to be purged from a file.
#pragma once

#include <optional>
#include <string>

#include "bulk/record_feed.h"
#include "cdn/purge_item.h"

namespace sluice::cdn {

// How a list is written. Nothing given: by the name of the file (.csv, .json, .ndjson or .jsonl;
// what follows, such as .gz, does not matter), else a JSON array if it begins with "[", NDJSON if
// with "{", else text.
struct ListFormat {
  std::string name;    // "text", "csv", "json", "ndjson"; empty or "auto": as above
  std::string column;  // of a CSV file: its name, or its number (then there is no header)
  std::string field;   // of JSON objects
  bool nul = false;    // text: items end in NUL instead of a new line
};

// Opens a list of items. They come out as keys: one a line; or the column or field named, else the
// one that is called like the kind of item ("url", "tag" …), or "key", as in the file of what a
// purge could not do. Objects in a list of files may be items themselves.
Result<std::unique_ptr<bulk::RecordFeed>> open_item_list(io::Executor executor, io::Stop& stop,
                                                         const std::string& path, PurgeKind kind,
                                                         const ListFormat& format);

}  // namespace sluice::cdn
