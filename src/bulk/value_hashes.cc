#include "bulk/value_hashes.h"

#include <utility>

#include "bulk/value_stream.h"

namespace sluice::bulk {

namespace {

// The entries of a block, as one page.
class BlockSource : public Source {
 public:
  explicit BlockSource(const store::Block& entries) : entries_(entries) {}
  io::Task<Result<SourcePage>> next() override {
    SourcePage page;
    page.entries.reserve(entries_.size());
    for (store::EntryView entry : entries_) {
      entry.presence = store::Presence::listed;
      page.entries.append_in_place(entry);
    }
    page.after.end = true;
    co_return page;
  }
  io::Task<> close() override { co_return; }
  [[nodiscard]] bool knows_metadata() const override { return true; }

 private:
  const store::Block& entries_;
};

}  // namespace

io::Task<Result<std::vector<std::optional<KeySet::Hash>>>> hash_values(Job job, store::Store& store,
                                                                       const store::Block& entries,
                                                                       bool exact) {
  // A run of its own, which leaves no trace in the journal and the progress of the one around it.
  flow::Progress progress;
  Job inner{.executor = job.executor,
            .stop = job.stop,
            .log = job.log,
            .progress = progress,
            .retrier = job.retrier,
            .settings = job.settings};
  JobRun run(inner, "compared");
  std::vector<std::optional<KeySet::Hash>> hashes;
  hashes.reserve(entries.size());
  const ValueSink sink = [&](ValueBatch& batch) -> io::Task<Result<>> {
    for (std::size_t i = 0; i < batch.entries.size(); ++i) {
      const bool here = batch.endings[i] == Ending::open;
      hashes.push_back(here ? std::optional(KeySet::hash(batch.entries[i].value)) : std::nullopt);
      if (here) batch.endings[i] = Ending::done;
    }
    settle_batch(run, batch.pages, batch.endings, batch.reasons,
                 [&](std::size_t index) { return batch.entries[index].key; });
    co_return run.commit();
  };
  BlockSource source(entries);
  co_await stream_values(run, store, source, exact, sink);
  const Report report = run.finish();
  if (report.ended_early) co_return std::unexpected(*report.ended_early);
  co_return hashes;
}

}  // namespace sluice::bulk
