#include "bulk/erase.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "bulk/batch_call.h"
#include "bulk/job_run.h"
#include "bulk/source.h"
#include "bulk/spool.h"
#include "io/task_group.h"

namespace sluice::bulk {

namespace {

// A journal gives the spool its place; without one it lies in the temporary folder and goes with
// the run.
class SpoolPlace {
 public:
  static Result<SpoolPlace> make(const Job& job) {
    if (job.journal != nullptr) return SpoolPlace(job.journal->spool_path(), false);
    const char* folder = ::secure_getenv("TMPDIR");
    std::string path = fmt::format("{}/sluice-spool-XXXXXX", folder != nullptr ? folder : "/tmp");
    const int file = ::mkostemp(path.data(), O_CLOEXEC);
    if (file < 0) return std::unexpected(system_error(errno, fmt::format("create {}", path)));
    ::close(file);
    return SpoolPlace(std::move(path), true);
  }
  ~SpoolPlace() {
    if (temporary_) ::unlink(path_.c_str());
  }
  SpoolPlace(SpoolPlace&& other) noexcept
      : path_(std::move(other.path_)), temporary_(std::exchange(other.temporary_, false)) {}
  SpoolPlace& operator=(SpoolPlace&&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  SpoolPlace(std::string path, bool temporary) : path_(std::move(path)), temporary_(temporary) {}
  std::string path_;
  bool temporary_;
};

class Eraser {
 public:
  Eraser(Job& job, store::Store& store, const EraseOptions& options)
      : run_(job, "deleted"),
        store_(store),
        options_(options),
        size_(
            std::min(job.settings.batch_size.value_or(SIZE_MAX), store.capabilities().erase_keys)),
        group_(job.executor, changes_at_once(store, job.settings)) {}

  io::Task<Report> erase() {
    if (!options_.selection.selects_something() && !options_.selection.all) {
      run_.end_early(
          {ErrorCode::invalid_argument, Retry::never, std::nullopt,
           "nothing is selected: name what to delete (--prefix, --search, --keys-file …), or "
           "--all-keys for everything"});
      co_return run_.finish();
    }
    // What was collected and confirmed once is the work, whatever is asked for now.
    // A limit, too, needs to be met by the same keys after a crash: those that are gone do not come
    // from the listing again, and others would be deleted in their place.
    if (run_.start().spooled || options_.max_delete || options_.confirm ||
        options_.selection.limit) {
      co_await erase_by_spool();
    } else if (auto source = open_listing()) {
      if ((*source)->knows_metadata()) run_.done_is_gone();
      co_await erase_from(**source);
    } else {
      run_.end_early(source.error());
    }
    co_return run_.finish();
  }

 private:
  // From where a resumed job was, or from the beginning.
  Result<std::unique_ptr<Source>> open_listing() {
    const Checkpoint& start = run_.start();
    return open_source(run_.job().executor, run_.job().stop, store_,
                       {.selection = options_.selection,
                        .values = false,
                        .start = start.position,
                        .selected_before = start.counts.selected});
  }

  io::Task<> erase_by_spool() {
    auto place = SpoolPlace::make(run_.job());
    if (!place) {
      run_.end_early(place.error());
      co_return;
    }
    if (!run_.start().spooled && !co_await collect(place->path())) co_return;
    // One batch a page.
    if (auto source = open_spool(place->path(), run_.start().position, size_.limit())) {
      co_await erase_from(**source);
    } else {
      run_.end_early(source.error());
    }
  }

  // Lists everything first. True if the deletion may begin.
  io::Task<bool> collect(std::string path) {
    auto spool = SpoolWriter::create(path);
    // A listing that was cut off is begun anew: only a complete spool counts.
    auto source = open_listing();
    if (!spool || !source) {
      run_.end_early(!spool ? spool.error() : source.error());
      co_return false;
    }
    flow::Stage& listed = run_.job().progress.stage("listed");
    flow::Stage& matched = run_.job().progress.stage("matched");
    Counts found;
    for (bool end = false; !end && !run_.ending();) {
      auto page = co_await (*source)->next();
      if (!page) {
        run_.end_early(page.error());
        break;
      }
      end = page->after.end;
      found += {.listed = page->listed, .selected = page->entries.size()};
      listed.count += page->listed;
      matched.count += page->entries.size();
      if (auto appended = spool->append(page->entries); !appended) run_.end_early(appended.error());
    }
    co_await (*source)->close();
    if (run_.ending()) co_return false;
    if (auto finished = spool->finish(); !finished) {
      run_.end_early(finished.error());
      co_return false;
    }
    if (options_.max_delete && found.selected > *options_.max_delete) {
      run_.end_early({ErrorCode::conflict, Retry::never, std::nullopt,
                      fmt::format("{} keys match, more than --max-delete {}: nothing was deleted",
                                  found.selected, *options_.max_delete)});
      co_return false;
    }
    if (options_.confirm) {
      if (auto confirmed = co_await options_.confirm(found.selected); !confirmed) {
        run_.end_early(confirmed.error());
        co_return false;
      }
    }
    if (auto begun = run_.begin_from_spool(found); !begun) {
      run_.end_early(begun.error());
      co_return false;
    }
    co_return true;
  }

  struct Batch {
    store::Block keys;
    std::vector<PageRun> pages;
  };

  io::Task<> erase_from(Source& source) {
    Batch batch;
    while (!run_.ending()) {
      auto page = co_await source.next();
      if (!page) {
        run_.end_early(page.error());
        break;
      }
      const std::uint64_t number = run_.open_page(page->after, page->listed, page->entries.size());
      for (const store::EntryView& entry : page->entries) {
        if (batch.keys.size() >= size_.limit()) co_await send(batch);
        if (run_.ending()) break;
        batch.keys.append({.key = entry.key});
        if (batch.pages.empty() || batch.pages.back().page != number)
          batch.pages.push_back({number, 0});
        ++batch.pages.back().entries;
      }
      if (page->entries.empty()) commit();
      if (page->after.end) {
        if (!batch.keys.empty() && !run_.ending()) co_await send(batch);
        break;
      }
    }
    co_await group_.join();
    co_await source.close();
  }

  io::Task<> send(Batch& batch) {
    Batch full = std::exchange(batch, {});
    co_await group_.spawn(erase_batch(std::move(full)));
  }

  io::Task<> erase_batch(Batch batch) {
    const BatchCall call = [&](std::span<const std::size_t> which)
        -> io::Task<Result<std::vector<store::KeyFailure>>> {
      std::vector<std::string_view> keys;
      keys.reserve(which.size());
      for (const std::size_t index : which) keys.push_back(batch.keys[index].key);
      auto answer = co_await store_.erase(keys);
      if (!answer) co_return std::unexpected(std::move(answer.error()));
      for (store::KeyFailure& failure : answer->failed) failure.index = which[failure.index];
      co_return std::move(answer->failed);
    };
    BatchOutcome outcome = co_await run_batch(run_.job(), size_, batch.keys.size(), call);
    settle_batch(run_, batch.pages, outcome.endings, outcome.reasons,
                 [&](std::size_t index) { return batch.keys[index].key; });
    if (outcome.ended) run_.end_early(*outcome.ended);
    commit();
  }

  void commit() {
    if (auto committed = run_.commit(); !committed) run_.end_early(committed.error());
  }

  JobRun run_;
  store::Store& store_;
  const EraseOptions& options_;
  flow::BatchSize size_;
  io::TaskGroup group_;
};

}  // namespace

io::Task<Report> erase(Job& job, store::Store& store, EraseOptions options) {
  Eraser eraser(job, store, options);
  co_return co_await eraser.erase();
}

}  // namespace sluice::bulk
