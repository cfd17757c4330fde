#include "bulk/stats.h"

#include <utility>

#include "bulk/job_run.h"
#include "bulk/source.h"
#include "bulk/value_stream.h"

namespace sluice::bulk {

namespace {

void count(const store::EntryView& entry, Stats& stats) {
  ++stats.entries;
  stats.key_bytes += entry.key.size();
  stats.metadata_bytes += entry.metadata.size();
  if (!entry.metadata.empty()) ++stats.with_metadata;
  if (entry.expiration != 0) ++stats.with_expiration;
  if (stats.value_bytes) *stats.value_bytes += entry.value.size();
}

}  // namespace

io::Task<Report> stats(Job& job, store::Store& store, StatsOptions options, Stats& stats) {
  JobRun run(job, "counted");
  stats = Stats{};
  const bool values = options.values || store.capabilities().lists_values;
  if (values) stats.value_bytes = 0;
  auto source = open_source(job.executor, job.stop, store,
                            {.selection = options.selection,
                             .metadata = true,
                             .values = values,
                             .start = {},
                             .selected_before = 0});
  if (!source) {
    run.end_early(source.error());
    co_return run.finish();
  }
  if (values) {
    const ValueSink sink = [&](ValueBatch& batch) -> io::Task<Result<>> {
      for (std::size_t i = 0; i < batch.entries.size(); ++i) {
        if (batch.endings[i] != Ending::open) continue;
        count(batch.entries[i], stats);
        batch.endings[i] = Ending::done;
      }
      settle_batch(run, batch.pages, batch.endings, batch.reasons,
                   [&](std::size_t index) { return batch.entries[index].key; });
      co_return run.commit();
    };
    co_await stream_values(run, store, **source, false, sink);
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
    for (const store::EntryView& entry : page->entries) count(entry, stats);
    run.settle(number, {.done = page->entries.size()});
    if (auto committed = run.commit(); !committed) run.end_early(committed.error());
  }
  co_await (*source)->close();
  co_return run.finish();
}

}  // namespace sluice::bulk
