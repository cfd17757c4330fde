// The database of a namespace: its format.
//
//   entry   one row an entry. `stored` is the value, as given or compressed, or the name of its
//   file
//           (see Form). `tags` is what pack_tags made; NULL: none. Times are Unix milliseconds;
//           `expires` NULL: never. `checksum` is entry_checksum. `priority` is what evict::Gdsf
//           says.
//   tag     which entries have a tag
//   state   one row: the number of entries, the bytes of their keys and values as given, the bytes
//           of value files, the inflation of the policy, the limits (max_bytes 0: not set yet; the
//           first who writes does)
//
// Rows keep their place: a new entry that makes another one go takes its id. Otherwise a table in
// which old rows go in any order, and new ones come at its end, would be half empty.
#pragma once

#include "sqlite/format.h"

namespace sluice::localcache {

extern const sqlite::Format kCacheFormat;

}  // namespace sluice::localcache
