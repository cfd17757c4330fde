#include "bulk/sync.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "bulk/job_log.h"
#include "bulk/keys_file.h"
#include "bulk/listing_spool.h"
#include "bulk/merge_source.h"
#include "bulk/put_batches.h"
#include "bulk/value_stream.h"
#include "sqlite/database.h"

namespace sluice::bulk {

namespace {

// A store as a merge needs it: itself, or its listing collected in order.
struct OrderedSide {
  store::Store* listing = nullptr;
  std::unique_ptr<ListingSpool> spool;
};

io::Task<Result<OrderedSide>> in_order(Job& job, store::Store& store, std::string prefix,
                                       std::string_view name) {
  OrderedSide side{.listing = &store, .spool = nullptr};
  const store::Capabilities& can = store.capabilities();
  if (can.ordered && !can.repeats_keys) co_return side;
  std::string path;
  if (job.journal != nullptr) {
    // A resumed job compares what is there then.
    path = job.journal->listing_path(name);
    sqlite::remove_database(path);
  }
  auto spool = co_await ListingSpool::open(job, std::move(path));
  if (!spool) co_return std::unexpected(spool.error());
  PieceLister lister(job.executor, store, {.prefix = std::move(prefix), .after = {}, .until = {}},
                     {}, false);
  // Seen while it is collected; the merge counts for good.
  flow::Stage& listed = job.progress.stage("listed");
  const std::uint64_t listed_before = listed.count;
  Result<> collected;
  while (collected && !lister.at_end()) {
    if (job.stop.requested()) {
      collected = std::unexpected(job.stop.reason());
      break;
    }
    auto page = co_await lister.next(0);
    if (!page) {
      collected = std::unexpected(page.error());
      break;
    }
    lister.fetch_ahead(0);
    listed.count += page->entries.size();
    collected = co_await (*spool)->put(page->entries);
  }
  co_await lister.close();
  listed.count = listed_before;
  if (!collected) co_return std::unexpected(collected.error());
  side.listing = &(*spool)->store();
  side.spool = std::move(*spool);
  co_return side;
}

class Syncer {
 public:
  Syncer(Job& job, store::Store& from, store::Store& to, const SyncOptions& options)
      : job_(halved(job)),
        // What is to be deleted has to be known by now: days may have passed since the job stopped.
        run_(job_, "changed", options.erase ? JobRun::Begin::anew : JobRun::Begin::where_it_was),
        from_(from),
        to_(to),
        options_(options),
        found_(run_.start().position.found) {}

  io::Task<SyncReport> sync() {
    if (auto checked = check_sync(options_, job_.settings.partitions, from_.capabilities(),
                                  to_.capabilities());
        !checked) {
      run_.end_early(checked.error());
      co_return finish();
    }
    auto place = SpoolPlace::make(job_);
    if (!place) {
      run_.end_early(place.error());
      co_return finish();
    }
    if (!run_.start().spooled) co_await merge(place->path());
    if (run_.start().spooled && !run_.ending()) co_await erase(place->path());
    co_return finish();
  }

 private:
  SyncReport finish() {
    SyncReport sync{.report = run_.finish(), .found = found_, .deleted = std::nullopt};
    if (written_) sync.deleted = sync.report.counts.done - *written_;
    return sync;
  }

  // What is read and what is written share the bytes that may be in flight.
  static Job halved(const Job& job) {
    Job half = job;
    half.settings.in_flight_bytes = std::max<std::size_t>(1, job.settings.in_flight_bytes / 2);
    return half;
  }

  io::Task<> merge(std::string spool_path) {
    if (auto merged = co_await try_merge(std::move(spool_path)); !merged) {
      run_.end_early(merged.error());
    }
  }

  io::Task<Result<>> try_merge(std::string spool_path) {
    auto filter = Filter::compile(options_.selection);
    if (!filter) co_return std::unexpected(filter.error());
    auto keys = co_await read_keys();
    if (!keys) co_return std::unexpected(keys.error());
    const Position start = run_.start().position;
    if (options_.erase) {
      auto opened = SpoolWriter::create(spool_path);
      if (!opened) co_return std::unexpected(opened.error());
      extra_.emplace(std::move(*opened));
    }
    const std::string& prefix = options_.selection.prefix;
    auto from = co_await in_order(job_, from_, prefix, JobLog::kSource);
    if (!from) co_return std::unexpected(from.error());
    auto to = co_await in_order(job_, to_, prefix, JobLog::kTarget);
    if (!to) co_return std::unexpected(to.error());
    auto pieces = co_await plan(*from, *to);
    if (!pieces) co_return std::unexpected(pieces.error());

    const bool values_are_listed = !from->spool && !to->spool &&
                                   from_.capabilities().lists_values &&
                                   to_.capabilities().lists_values;
    MergeSource source(job_,
                       {.from = *from->listing,
                        .to = *to->listing,
                        .pieces = std::move(*pieces),
                        .filter = std::move(*filter),
                        .keys = std::move(*keys),
                        .limit = left(),
                        .listed_values = options_.checksum && values_are_listed,
                        .fetched_values = options_.checksum && !values_are_listed,
                        .exact = options_.exact,
                        .to_least_ttl = to_.capabilities().least_ttl,
                        .extra = extra_ ? &*extra_ : nullptr,
                        .from_values = &from_,
                        .to_values = &to_},
                       start);
    PutBatches puts(run_, to_);
    const ValueSink sink = [&](ValueBatch& batch) { return puts.take(batch); };
    co_await stream_values(run_, from_, source, options_.exact, sink);
    co_await puts.finish();
    found_ = source.found();
    if (!extra_) co_return Result<>();
    // The deletions are still to come, even if everything else had ended when the stop came.
    if (job_.stop.requested()) co_return std::unexpected(job_.stop.reason());
    if (run_.ending()) co_return Result<>();
    if (auto finished = extra_->finish(); !finished) co_return finished;
    // What could not be written may be the very thing that its old key is kept for.
    if (run_.counts().failed > 0 || found_.extra == 0) co_return Result<>();
    if (!source.saw_source() && prefix.empty() && !options_.guard.max_delete) {
      co_return fail(ErrorCode::conflict,
                     "the source lists no entry at all, so all {} of the target would be deleted: "
                     "nothing was. Check the source's name; if it is meant, say --max-delete {}.",
                     found_.extra, found_.extra);
    }
    if (auto passed = co_await options_.guard.pass(found_.extra); !passed) {
      run_.end_refused(passed.error());
      co_return Result<>();
    }
    written_ = run_.counts().done;
    co_return run_.begin_from_spool({.selected = found_.extra});
  }

  // Both listings in the same pieces.
  io::Task<Result<std::vector<Piece>>> plan(const OrderedSide& from, const OrderedSide& to) {
    const auto quick = [](store::Store& store) {
      return store.capabilities().seekable && store.capabilities().remote;
    };
    const bool pays = quick(*from.listing) && quick(*to.listing);
    const std::size_t automatic =
        pays ? std::min(job_.settings.concurrency, kMostAutomaticPieces) : 1;
    co_return co_await plan_pieces(*from.listing, options_.selection.prefix,
                                   job_.settings.partitions, automatic);
  }

  io::Task<Result<std::optional<KeySet>>> read_keys() {
    const Selection& selection = options_.selection;
    if (!selection.keys_file) co_return std::optional<KeySet>();
    auto feed = open_keys_file(job_, selection);
    if (!feed) co_return std::unexpected(feed.error());
    auto keys = co_await read_keys_of(**feed, *selection.keys_file);
    co_await (*feed)->close();
    if (!keys) co_return std::unexpected(keys.error());
    co_return std::optional<KeySet>(std::move(keys->set));
  }

  [[nodiscard]] std::optional<std::uint64_t> left() const {
    const auto& limit = options_.selection.limit;
    if (!limit) return std::nullopt;
    return *limit - std::min(*limit, run_.start().counts.selected);
  }

  io::Task<> erase(std::string spool_path) {
    EraseBatches batches(run_, to_);
    if (auto source = open_spool(spool_path, run_.start().position, batches.batch_size())) {
      co_await batches.erase_all(**source);
    } else {
      run_.end_early(source.error());
    }
  }

  Job job_;
  JobRun run_;
  store::Store& from_;
  store::Store& to_;
  const SyncOptions& options_;
  MergeFindings found_;
  std::optional<std::uint64_t> written_;  // before the deletions began
  std::optional<SpoolWriter> extra_;      // the keys that only `to` has
};

}  // namespace

Result<> check_sync(const SyncOptions& options, const Partitions& partitions,
                    const store::Capabilities& from, const store::Capabilities& to) {
  if (options.erase && !partitions.prefixes.empty()) {
    return fail(ErrorCode::invalid_argument,
                "a sync that deletes does not take prefixes as --list-partitions: were one "
                "forgotten, keys would be taken for gone. Leave one of the two out.");
  }
  if (options.erase && options.selection.limit) {
    return fail(ErrorCode::invalid_argument,
                "a sync that deletes has to see all of both stores: leave out --limit");
  }
  for (const store::Capabilities* can : {&from, &to}) {
    auto checked = check_partitions(partitions, *can, options.selection.prefix);
    if (!checked) return checked;
  }
  return {};
}

io::Task<SyncReport> sync(Job& job, store::Store& from, store::Store& to, SyncOptions options) {
  Syncer syncer(job, from, to, options);
  co_return co_await syncer.sync();
}

}  // namespace sluice::bulk
