// list_entries: gives the selected entries of a store, page by page.
#pragma once

#include <functional>
#include <string_view>

#include "bulk/job.h"
#include "bulk/selection.h"
#include "store/store.h"

namespace sluice::bulk {

struct ListOptions {
  Selection selection;                // nothing selected: everything
  std::string_view verb = "written";  // what the progress calls entries that the sink has taken
};

// Hands the selected entries of each page to `sink`, in the store's order, while the next page is
// fetched. An error of the sink ends the run. Asks for list pages only, or, if the selection's file
// of keys is short, for their metadata only; then in the order of the keys.
io::Task<Report> list_entries(Job& job, store::Store& store, ListOptions options,
                              std::function<io::Task<Result<>>(const store::Block& entries)> sink);

}  // namespace sluice::bulk
