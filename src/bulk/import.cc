#include "bulk/import.h"

#include <utility>

#include "bulk/job_run.h"
#include "bulk/put_batches.h"
#include "bulk/record_feed.h"

namespace sluice::bulk {

namespace {

class Importer {
 public:
  Importer(Job& job, store::Store& store, const ImportOptions& options)
      : run_(job, "imported"), options_(options), puts_(run_, store) {}

  io::Task<Report> run() {
    const Checkpoint& start = run_.start();
    if (start.position.end) co_return run_.finish();
    skipped_ = start.counts.skipped;
    EntryFile::Options file;
    file.format = options_.format;
    file.from = start.position.offset;
    file.reader.now = options_.now;
    auto feed = RecordFeed::open(run_.job().executor, run_.job().stop, options_.path, file);
    if (!feed) {
      run_.end_early(feed.error());
      co_return run_.finish();
    }
    for (bool end = false; !end && !run_.ending();) {
      auto piece = co_await (*feed)->next();
      if (!piece) {
        run_.end_early(piece.error());
        break;
      }
      end = piece->end;
      co_await take(*piece);
    }
    co_await (*feed)->close();
    co_await puts_.finish();
    co_return run_.finish();
  }

 private:
  io::Task<> take(const RecordFeed::Piece& piece) {
    const Records& records = piece.records;
    const std::uint64_t all = records.entries.size() + records.bad.size();
    const std::uint64_t page = run_.open_page(
        {.listing = {}, .pieces = {}, .offset = records.end, .end = piece.end}, all, all);
    for (const BadRecord& bad : records.bad) {
      if (++skipped_ > options_.skip_bad) {
        run_.end_early({ErrorCode::invalid_argument, Retry::never, std::nullopt,
                        fmt::format("{}: {}{}", name(), describe(bad), advice())});
        co_return;
      }
      run_.job().log.warn("skipped a bad record: {}: {}", name(), describe(bad));
    }
    run_.settle(page, {.skipped = records.bad.size()});
    for (const store::EntryView& entry : records.entries) {
      if (puts_.has_room(entry)) {
        puts_.append(entry, page);
      } else {
        co_await puts_.add(entry, page);
      }
      if (run_.ending()) co_return;
    }
  }

  [[nodiscard]] std::string_view name() const {
    return options_.path == "-" ? std::string_view("stdin") : std::string_view(options_.path);
  }
  [[nodiscard]] std::string advice() const {
    if (options_.skip_bad == 0) return " (--skip-bad N passes over up to N bad records)";
    return fmt::format(" (and {} bad records before it, as many as --skip-bad allows)",
                       options_.skip_bad);
  }

  JobRun run_;
  const ImportOptions& options_;
  PutBatches puts_;
  std::uint64_t skipped_ = 0;
};

}  // namespace

io::Task<Report> import_entries(Job& job, store::Store& store, ImportOptions options) {
  Importer importer(job, store, options);
  co_return co_await importer.run();
}

}  // namespace sluice::bulk
