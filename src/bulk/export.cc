#include "bulk/export.h"

#include <utility>

#include "bulk/job_run.h"
#include "bulk/source.h"
#include "bulk/value_stream.h"

namespace sluice::bulk {

namespace {

// Large enough that a write costs nothing, small enough that a slow reader sees the first lines
// soon.
constexpr std::size_t kPiece = std::size_t{256} << 10;

class Exporter {
 public:
  Exporter(Job& job, store::Store& store, Output& output, const ExportOptions& options)
      : run_(job, "exported"),
        store_(store),
        output_(output),
        options_(options),
        writer_(continued(options.format, run_.start())) {}

  io::Task<Report> run() {
    const Checkpoint& start = run_.start();
    auto source = open_source(run_.job(), store_,
                              {.selection = options_.selection,
                               .values = true,
                               .keeps_order = true,
                               .start = start.position,
                               .selected_before = start.counts.selected});
    if (!source) {
      run_.end_early(source.error());
      co_return run_.finish();
    }
    if (start.output_bytes == 0) writer_.begin(buffer_);
    const ValueSink sink = [this](ValueBatch& batch) { return take(batch); };
    co_await stream_values(run_, store_, **source, options_.exact, sink);
    if (!run_.ending()) writer_.end(buffer_);
    // What has been received is written even when the run ends early: the journal then speaks of
    // it.
    if (auto written = co_await write_out(); !written) {
      run_.end_early(written.error());
      run_.forget_unsaved();
    }
    // Before the journal says that the job is finished.
    if (!run_.ending()) {
      if (auto completed = co_await output_.complete(); !completed)
        run_.end_early(completed.error());
    }
    co_return run_.finish();
  }

 private:
  static EntryWriter continued(EntryWriter::Options options, const Checkpoint& start) {
    options.entries_before = start.counts.done;
    return EntryWriter(options);
  }

  io::Task<Result<>> take(ValueBatch& batch) {
    std::size_t next = 0;
    for (const PageRun& part : batch.pages) {
      Counts ended;
      std::vector<FailedKey> failed;
      for (const std::size_t end = next + part.entries; next < end; ++next) {
        switch (batch.endings[next]) {
          case Ending::open:
            writer_.append(batch.entries[next], buffer_);
            ++ended.done;
            break;
          case Ending::failed:
            ++ended.failed;
            break;
          default:
            run_.note_skipped(batch.entries[next].key);
            ++ended.skipped;
            break;
        }
      }
      for (const store::KeyFailure& reason : batch.reasons) {
        if (reason.index < next && reason.index >= next - part.entries) {
          failed.push_back({std::string(batch.entries[reason.index].key), reason.error});
        }
      }
      run_.settle(part.page, ended, std::move(failed));
      run_.advance(output_.bytes() + buffer_.size());
      if (buffer_.size() >= kPiece) {
        if (auto written = co_await write_out(); !written) co_return written;
      }
    }
    co_return Result<>();
  }

  // A checkpoint speaks of bytes that have been written, so it waits for them.
  io::Task<Result<>> write_out() {
    if (!buffer_.empty()) {
      if (auto written = co_await output_.write(std::exchange(buffer_, {})); !written)
        co_return written;
    }
    if (run_.job().journal == nullptr) co_return run_.save();
    if (auto flushed = co_await output_.flush(); !flushed) co_return flushed;
    co_return run_.save([this] { return output_.sync(); });
  }

  JobRun run_;
  store::Store& store_;
  Output& output_;
  const ExportOptions& options_;
  EntryWriter writer_;
  std::string buffer_;
};

}  // namespace

io::Task<Report> export_entries(Job& job, store::Store& store, Output& output,
                                ExportOptions options) {
  Exporter exporter(job, store, output, options);
  co_return co_await exporter.run();
}

}  // namespace sluice::bulk
