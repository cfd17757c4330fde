#include "bulk/job_run.h"

#include <algorithm>
#include <utility>

namespace sluice::bulk {

namespace {

// A power cut costs at most the work of this time.
constexpr std::chrono::seconds kSyncInterval{2};

// How many skipped keys a report names.
constexpr std::size_t kMostSkippedKeys = 5;

}  // namespace

ExitCode exit_code(const Report& report) {
  if (report.ended_early) return exit_code(report.ended_early->code);
  return report.counts.failed > 0 ? ExitCode::some_failed : ExitCode::done;
}

JobRun::JobRun(Job& job, std::string_view verb, Begin begin)
    : job_(job),
      start_(job.journal != nullptr && begin == Begin::where_it_was
                 ? job.journal->resumed_from().value_or(Checkpoint{})
                 : Checkpoint{}),
      watermark_(start_.position),
      counts_(start_.counts),
      saved_counts_(start_.counts),
      failures_(job.failure_path, start_.failure_bytes),
      synced_at_(io::Clock::now()),
      listed_(job.progress.stage("listed")),
      matched_(job.progress.stage("matched")),
      done_(job.progress.stage(verb)),
      failed_(job.progress.stage("failed")) {
  passed_.counts = start_.counts;
  listed_.count = start_.counts.listed;
  matched_.count = start_.counts.selected;
  done_.count = start_.counts.done;
  failed_.count = start_.counts.failed;
  if (start_.spooled) done_.total = start_.counts.selected;
}

std::uint64_t JobRun::open_page(Position after, std::uint64_t listed, std::uint64_t selected,
                                Stretch stretch) {
  const Counts found = start_.spooled ? Counts{} : Counts{.listed = listed, .selected = selected};
  listed_.count += found.listed;
  matched_.count += found.selected;
  counts_ += found;
  return watermark_.open(std::move(after), selected, found, std::move(stretch));
}

void JobRun::settle(std::uint64_t page, const Counts& ended, std::vector<FailedKey> failed,
                    const Stretch& stretch) {
  counts_ += ended;
  done_.count += ended.done;
  failed_.count += ended.failed;
  watermark_.settle(page, ended, std::move(failed), stretch);
}

void JobRun::note_skipped(std::string_view key) {
  if (skipped_keys_.size() < kMostSkippedKeys) skipped_keys_.emplace_back(key);
}

void JobRun::advance(std::uint64_t output_bytes) {
  const bool moved = watermark_.advance(passed_);
  if (!moved && !done_is_gone_) return;
  output_bytes_ = output_bytes;
  moved_ = true;
}

Result<> JobRun::save(const std::function<Result<>()>& sync_output) {
  if (!std::exchange(moved_, false)) return {};
  if (auto appended = failures_.append(std::exchange(passed_.failed, {})); !appended)
    return appended;
  saved_counts_ = passed_.counts;
  if (job_.journal == nullptr) return {};
  Counts counts = passed_.counts;
  if (done_is_gone_) {
    const std::uint64_t ahead = counts_.done - passed_.counts.done;
    counts += {.listed = ahead, .selected = ahead, .done = ahead};
  }
  const Checkpoint checkpoint{.position = watermark_.position(),
                              .counts = counts,
                              .output_bytes = output_bytes_,
                              .failure_bytes = failures_.bytes(),
                              .spooled = start_.spooled};
  const flow::TimePoint now = io::Clock::now();
  const bool sync = now - synced_at_ >= kSyncInterval;
  if (sync) {
    synced_at_ = now;
    if (auto synced = failures_.sync(); !synced) return synced;
    if (sync_output) {
      if (auto synced = sync_output(); !synced) return synced;
    }
  }
  return job_.journal->checkpoint(checkpoint, sync);
}

Result<> JobRun::begin_from_spool(const Counts& found) {
  start_.spooled = true;
  start_.position = Position{};
  watermark_ = Watermark();
  counts_ += found;
  passed_.counts = counts_;
  done_.total = counts_.selected;
  if (job_.journal == nullptr) return {};
  return job_.journal->checkpoint(
      {.counts = counts_, .failure_bytes = failures_.bytes(), .spooled = true}, true);
}

void JobRun::end_early(Error reason) {
  if (ended_early_) return;
  // What a stop has cut off tells only that; why there was a stop is the reason. An error that
  // begins with it tells what else there was (see flow::attempt).
  const bool cut_off = job_.stop.requested() && reason.code == ErrorCode::interrupted &&
                       !reason.message.starts_with(job_.stop.reason().message);
  if (cut_off) reason = job_.stop.reason();
  ended_early_ = std::move(reason);
}

Report JobRun::finish() {
  // Failed keys beyond the watermark are told, too; a resumed job will meet them again and cuts the
  // file back to its checkpoint.
  if (auto told = failures_.append(watermark_.take_failed()); !told) end_early(told.error());
  if (job_.journal != nullptr && job_.failure_path == job_.journal->failure_path()) {
    if (auto cut = failures_.cut_off_the_rest(); !cut) end_early(cut.error());
  }
  if (auto synced = failures_.sync(); !synced) end_early(synced.error());
  // A stop that came when everything had ended has cut nothing off. (Of an output file that is not
  // known here: what stands behind its last entry may be missing.)
  const bool all_ended = watermark_.position().end && !watermark_.has_open_pages() &&
                         counts_.add_up() && output_bytes_ == 0;
  if (job_.stop.requested() && !all_ended) {
    // What the stop turned away ended with its reason too; any other reason came first and stays.
    end_early(job_.stop.reason());
  }
  if (!ended_early_ && !counts_.add_up()) {
    end_early({ErrorCode::protocol, Retry::never, std::nullopt,
               fmt::format(
                   "the counts do not add up: {} selected, but {} done, {} failed and {} skipped; "
                   "please report this",
                   counts_.selected, counts_.done, counts_.failed, counts_.skipped)});
  }
  // What ended before it began, or was refused before anything was done, has nothing to go on from.
  // Neither has a job whose own files are damaged.
  const bool refused =
      ended_early_ && !keep_resumable_ &&
      (refused_ || ended_early_->code == ErrorCode::corrupt ||
       (counts_.done == 0 && !job_.stop.requested() &&
        (counts_.listed == 0 || ended_early_->code == ErrorCode::invalid_argument ||
         ended_early_->code == ErrorCode::conflict)));
  const bool resumable = job_.journal != nullptr && ended_early_ && !refused;
  if (job_.journal != nullptr) {
    const auto closed = resumable ? job_.journal->stopped(ended_early_->message)
                        : refused ? job_.journal->finish(JobState::failed, ended_early_->message)
                                  : job_.journal->finish(JobState::finished, "");
    if (!closed) end_early(closed.error());
  }
  return Report{.counts = counts_,
                .ended_early = ended_early_,
                .reasons = failures_.reasons(),
                .skipped_keys = skipped_keys_,
                .resumable = resumable,
                .refused = refused_,
                .failure_file = failures_.path()};
}

void settle_batch(JobRun& run, const std::vector<PageRun>& pages,
                  const std::vector<Ending>& endings, const std::vector<store::KeyFailure>& reasons,
                  const std::function<std::string_view(std::size_t)>& key) {
  const bool whole = std::ranges::find(endings, Ending::open) == endings.end();
  if (!whole) run.hold_ahead();
  std::size_t next = 0;
  for (const PageRun& part : pages) {
    Counts ended;
    std::vector<FailedKey> failed;
    for (const std::size_t end = next + part.entries; next < end; ++next) {
      switch (endings[next]) {
        case Ending::open:
          break;
        case Ending::done:
          ++ended.done;
          break;
        case Ending::skipped:
          ++ended.skipped;
          break;
        case Ending::failed:
          ++ended.failed;
          break;
      }
    }
    for (const store::KeyFailure& reason : reasons) {
      if (reason.index < next && reason.index >= next - part.entries) {
        failed.push_back({std::string(key(reason.index)), reason.error});
      }
    }
    run.settle(part.page, ended, std::move(failed), whole ? part.stretch : Stretch{});
  }
}

}  // namespace sluice::bulk
