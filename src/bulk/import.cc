#include "bulk/import.h"

#include <algorithm>
#include <span>
#include <string>
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
    page_begin_ = start.position.offset;
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
    for (const BadRecord& bad : records.bad) {
      if (ended_before(bad.offset)) continue;
      if (++skipped_ > options_.skip_bad) {
        const std::uint64_t all = records.entries.size() + records.bad.size();
        (void)run_.open_page({.listing = {}, .pieces = {}, .offset = records.end, .end = piece.end},
                             all, all);
        run_.end_early({ErrorCode::invalid_argument, Retry::never, std::nullopt,
                        fmt::format("{}: {}{}", name(), describe(bad), advice())});
        co_return;
      }
      run_.job().log.warn("skipped a bad record: {}: {}", name(), describe(bad));
    }
    // In pages of a batch: a run that is killed repeats what was under way, and not all that came
    // with it in one piece of the file.
    const std::size_t entries = records.entries.size();
    std::size_t next = 0;
    std::size_t next_bad = 0;
    do {
      const std::size_t end = std::min(entries, next + puts_.batch_limit());
      const bool last = end == entries;
      const std::uint64_t offset = last ? records.end : records.ends[end - 1];
      const std::size_t first_bad = next_bad;
      while (next_bad < records.bad.size() && (last || records.bad[next_bad].offset < offset)) {
        ++next_bad;
      }
      const std::span bad = std::span(records.bad).subspan(first_bad, next_bad - first_bad);
      const std::span ends = std::span(records.ends).subspan(next, end - next);
      const std::uint64_t page = open_page(bad, ends, offset, last && piece.end);
      std::string from = place_at(page_begin_);
      std::string to;
      for (; next < end; ++next) {
        const store::EntryView& entry = records.entries[next];
        to = place_at(records.ends[next]);
        if (!ended_before(records.ends[next] - 1)) {
          if (puts_.has_room(entry)) {
            puts_.append(entry, page, from, to);
          } else {
            co_await puts_.add(entry, page, from, to);
          }
        }
        if (run_.ending()) co_return;
        from.swap(to);
      }
      page_begin_ = offset;
    } while (next < entries);
  }

  // The page behind page_begin_ up to the byte `offset`, with its bad records and the ends of its
  // entries. What had ended ahead of the start of a resumed run is listed again, and no more.
  std::uint64_t open_page(std::span<const BadRecord> bad, std::span<const std::uint64_t> ends,
                          std::uint64_t offset, bool last) {
    std::uint64_t selected = 0;
    for (const std::uint64_t end : ends) selected += ended_before(end - 1) ? 0 : 1;
    for (const BadRecord& each : bad) selected += ended_before(each.offset) ? 0 : 1;
    const std::uint64_t page =
        run_.open_page({.offset = offset, .end = last}, ends.size() + bad.size(), selected,
                       {place_at(page_begin_), place_at(offset)});
    for (const BadRecord& each : bad) {
      if (ended_before(each.offset)) continue;
      run_.settle(page, {.skipped = 1}, {}, {place_at(each.offset), place_at(each.offset + 1)});
    }
    return page;
  }

  // Whether the record that `byte` is part of had ended when the job was resumed.
  [[nodiscard]] bool ended_before(std::uint64_t byte) const {
    const Stretches& ahead = run_.start().position.ahead;
    return !ahead.empty() && ahead.contains(place_at(byte));
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
  std::uint64_t page_begin_ = 0;
};

}  // namespace

io::Task<Report> import_entries(Job& job, store::Store& store, ImportOptions options) {
  Importer importer(job, store, options);
  co_return co_await importer.run();
}

}  // namespace sluice::bulk
