#include "bulk/stats.h"

#include <utility>

#include "bulk/job_run.h"
#include "bulk/list.h"
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

// Counts entries whose values have to be fetched or come with the listing.
io::Task<Report> count_with_values(Job& job, store::Store& store, const Selection& selection,
                                   Stats& stats) {
  JobRun run(job, "counted");
  auto source = open_source(job, store,
                            {.selection = selection,
                             .metadata = true,
                             .values = true,
                             .start = {},
                             .selected_before = 0});
  if (!source) {
    run.end_early(source.error());
    co_return run.finish();
  }
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

}  // namespace

io::Task<Report> stats(Job& job, store::Store& store, StatsOptions options, Stats& stats) {
  stats = Stats{};
  if (options.values || store.capabilities().lists_values) {
    stats.value_bytes = 0;
    co_return co_await count_with_values(job, store, options.selection, stats);
  }
  const auto sink = [&](const store::Block& page) -> io::Task<Result<>> {
    for (const store::EntryView& entry : page) count(entry, stats);
    co_return Result<>();
  };
  co_return co_await list_entries(job, store, {options.selection, "counted"}, sink);
}

}  // namespace sluice::bulk
