#include "bulk/copy.h"

#include <algorithm>
#include <utility>

#include "bulk/job_run.h"
#include "bulk/put_batches.h"
#include "bulk/source.h"
#include "bulk/value_stream.h"

namespace sluice::bulk {

namespace {

// Passes a batch of values on. What has no value ends here; the rest ends when it has been written.
io::Task<Result<>> pass_on(JobRun& run, PutBatches& puts, ValueBatch& batch) {
  settle_batch(run, batch.pages, batch.endings, batch.reasons,
               [&](std::size_t index) { return batch.entries[index].key; });
  std::size_t next = 0;
  for (const PageRun& part : batch.pages) {
    for (const std::size_t end = next + part.entries; next < end; ++next) {
      if (batch.endings[next] != Ending::open) continue;
      const store::EntryView& entry = batch.entries[next];
      if (puts.has_room(entry)) {
        puts.append(entry, part.page);
      } else {
        co_await puts.add(entry, part.page);
      }
      if (run.ending()) co_return Result<>();
    }
  }
  co_return run.commit();
}

}  // namespace

io::Task<Report> copy(Job& job, store::Store& from, store::Store& to, CopyOptions options) {
  // What is read and what is written share the bytes that may be in flight.
  Job halved = job;
  halved.settings.in_flight_bytes = std::max<std::size_t>(1, job.settings.in_flight_bytes / 2);
  JobRun run(halved, "copied");
  auto source = open_source(job, from,
                            {.selection = options.selection,
                             .values = true,
                             .start = run.start().position,
                             .selected_before = run.start().counts.selected});
  if (!source) {
    run.end_early(source.error());
    co_return run.finish();
  }
  PutBatches puts(run, to);
  const ValueSink sink = [&](ValueBatch& batch) { return pass_on(run, puts, batch); };
  co_await stream_values(run, from, **source, options.exact, sink);
  co_await puts.finish();
  co_return run.finish();
}

}  // namespace sluice::bulk
