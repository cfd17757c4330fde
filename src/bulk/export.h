// export_entries: writes the selected entries of a store, with their values, to an output.
#pragma once

#include "bulk/entry_writer.h"
#include "bulk/job.h"
#include "bulk/output.h"
#include "bulk/selection.h"
#include "store/store.h"

namespace sluice::bulk {

struct ExportOptions {
  Selection selection;  // nothing selected: everything
  EntryWriter::Options format;
  bool exact = false;  // fetch every value singly, byte for byte
};

// Writes the entries in the order of the listing, while the listing goes on. The values come with
// it where the store can do that; elsewhere in batches, several at a time. A resumed job continues
// the output behind the entries of its checkpoint: the result is that of an uninterrupted run. If
// the run is complete, so is the output; else the caller keeps or discards it.
//
// Costs, against a remote store of N keys of which M match: N / list_page requests to list, plus
// M / get_keys for the values (M if exact).
io::Task<Report> export_entries(Job& job, store::Store& store, Output& output,
                                ExportOptions options);

}  // namespace sluice::bulk
