#include "bulk/list.h"

#include <utility>

#include "bulk/job_run.h"
#include "bulk/source.h"

namespace sluice::bulk {

io::Task<Report> list_entries(Job& job, store::Store& store, ListOptions options,
                              std::function<io::Task<Result<>>(const store::Block& entries)> sink) {
  JobRun run(job, options.verb);
  auto source = open_source(job, store,
                            {.selection = options.selection,
                             .metadata = true,
                             .asks_for_few = true,
                             .values = false,
                             .keeps_order = true,
                             .start = {},
                             .selected_before = 0});
  if (!source) {
    run.end_early(source.error());
    co_return run.finish();
  }
  for (bool end = false; !end && !run.ending();) {
    auto page = co_await (*source)->next();
    if (!page) {
      run.end_early(page.error());
      break;
    }
    end = page->after.end;
    const std::uint64_t number = run.open_page(page->after, page->listed, page->entries.size());
    if (auto taken = co_await sink(page->entries); !taken) {
      run.end_early(taken.error());
      break;
    }
    run.settle(number, {.done = page->entries.size()});
    if (auto committed = run.commit(); !committed) run.end_early(committed.error());
  }
  co_await (*source)->close();
  co_return run.finish();
}

}  // namespace sluice::bulk
