// The file of the embedded store: its format, and the words that the reader and the writer share.
//
// - namespaces(id, title). Ids are never used twice, so that an old id cannot name a newer
//   namespace.
// - entries_ID(id, key, expires_at, metadata, value), one table a namespace.
// - runs(namespace, first, last).
//
// Runs are what makes a listing in key order as fast as reading the table from end to end, whatever
// the order in which the keys came. A put sorts its entries by key before it writes them, and new
// rows get ever greater ids. So the table consists of runs: ranges of ids [first, last] within
// which the keys ascend. A listing merges the runs, and reads each of them sequentially; by the
// index on `key` alone it would jump from page to page of the file, ten times slower when the keys
// came in random order.
//
// Invariants: within a run, a greater id has a greater key. Every row lies in one run. Ids are
// never used again: the next id is max(last) + 1. A replaced entry keeps its id, an erased one
// leaves a gap; neither disturbs a run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "sqlite/format.h"

namespace sluice::store {

// Above this number of runs a listing goes by the index: each run costs the merge a statement and a
// page of the cache. Entries that are put one by one, in random order, make so many.
inline constexpr std::size_t kMostMergedRuns = 256;

extern const sqlite::Format kStoreFormat;

// The namespace "default", which every file has.
inline constexpr std::int64_t kDefaultNamespaceId = 1;

// "entries_7"
std::string entries_table(std::int64_t namespace_id);
// The statements that create and remove the table of one namespace.
std::string create_entries_sql(std::int64_t namespace_id);
std::string drop_entries_sql(std::int64_t namespace_id);

}  // namespace sluice::store
