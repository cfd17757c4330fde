#include "bulk/copy.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "bulk/job_run.h"
#include "bulk/put_batches.h"
#include "bulk/source.h"
#include "bulk/value_stream.h"

namespace sluice::bulk {

io::Task<Report> copy(Job& job, store::Store& from, store::Store& to, CopyOptions options) {
  // What is read and what is written share the bytes that may be in flight.
  Job halved = job;
  halved.settings.in_flight_bytes = std::max<std::size_t>(1, job.settings.in_flight_bytes / 2);
  JobRun run(halved, "copied");
  const std::size_t batch =
      std::min(job.settings.batch_size.value_or(SIZE_MAX), to.capabilities().put_entries);
  auto source = open_source(job, from,
                            {.selection = options.selection,
                             .values = true,
                             .start = run.start().position,
                             .page_keys = batch,
                             .selected_before = run.start().counts.selected});
  if (!source) {
    run.end_early(source.error());
    co_return run.finish();
  }
  PutBatches puts(run, to);
  const ValueSink sink = [&](ValueBatch& batch) { return puts.take(batch); };
  co_await stream_values(run, from, **source, options.exact, sink);
  co_await puts.finish();
  co_return run.finish();
}

}  // namespace sluice::bulk
