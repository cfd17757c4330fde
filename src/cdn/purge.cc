#include "cdn/purge.h"

#include <algorithm>
#include <utility>

#include "bulk/batch_call.h"
#include "bulk/failure_file.h"
#include "flow/batcher.h"
#include "io/task_group.h"

namespace sluice::cdn {

namespace {

// Items of the failure file that are read from the spool at once.
constexpr std::size_t kPiece = 1000;
constexpr std::size_t kZonesAtOnce = 64;

// Why a run that was asked to stop has ended, and what it was waiting for when nothing got through.
Error stop_reason(const bulk::Job& job, const PurgeApi& api) {
  Error reason = job.stop.reason();
  const std::string trouble = api.wire_stats().trouble;
  if (!trouble.empty()) reason.message += fmt::format("; before that: {}", trouble);
  return reason;
}

class Purger {
 public:
  Purger(bulk::Job& job, PurgeApi& api, ItemSpool& spool, PurgePlan plan)
      : job_(job),
        api_(api),
        spool_(spool),
        plan_(std::move(plan)),
        failures_(job.failure_path, 0),
        done_(job.progress.stage(plan_.done)),
        failed_(job.progress.stage("failed")) {}

  io::Task<PurgeReport> run() {
    for (const Zone& zone : plan_.zones) {
      ZoneWork work{.result = {.zone = zone}, .size = flow::BatchSize(batch_size(zone))};
      auto due = co_await spool_.count_due(zone.id);
      if (due) {
        work.result.items = *due;
      } else {
        work.result.ended = due.error();
      }
      total_ += work.result.items;
      works_.push_back(std::move(work));
    }
    done_.total = total_;
    if (!plan_.dry_run) co_await purge_all();
    PurgeReport report;
    for (ZoneWork& work : works_) {
      if (plan_.dry_run) {
        const std::size_t size = batch_size(work.result.zone);
        work.result.requests = (work.result.items + size - 1) / size;
        work.result.purged = work.result.items;
      } else {
        co_await write_rest(work);
      }
      report.zones.push_back(std::move(work.result));
    }
    if (auto synced = failures_.sync(); !synced) end_all(report, synced.error());
    report.reasons = failures_.reasons();
    report.failure_file = failures_.path();
    co_return report;
  }

 private:
  struct ZoneWork {
    ZoneResult result;
    flow::BatchSize size;
    // Why each item so far has failed, as long as it was for want of an answer.
    std::optional<Error> outage = std::nullopt;
    bool refused_some = false;
  };

  [[nodiscard]] std::size_t batch_size(const Zone& zone) const {
    const std::size_t most = api_.most_items(zone, plan_.kind);
    return std::clamp<std::size_t>(plan_.batch_size.value_or(most), 1, most);
  }

  static void end_all(PurgeReport& report, const Error& error) {
    for (ZoneResult& zone : report.zones) {
      if (!zone.ended) zone.ended = error;
    }
  }

  // The zones side by side: one whose plan is slow must not hold up the others.
  io::Task<> purge_all() {
    io::TaskGroup zones(job_.executor, kZonesAtOnce);
    for (ZoneWork& work : works_) co_await zones.spawn(purge_zone(work));
    co_await zones.join();
  }

  io::Task<> purge_zone(ZoneWork& work) {
    io::TaskGroup group(job_.executor, job_.settings.concurrency);
    for (std::int64_t after = 0; !work.result.ended;) {
      if (job_.stop.requested()) {
        work.result.ended = stop_reason(job_, api_);
        break;
      }
      auto items = co_await spool_.due(work.result.zone.id, after, work.size.limit());
      if (!items) work.result.ended = items.error();
      if (!items || items->empty()) break;
      after = items->back().id;
      co_await group.spawn(purge_batch(work, std::move(*items)));
    }
    co_await group.join();
    // Cut off behind the last batch: nothing is missing.
    if (work.result.open() == 0 && job_.stop.requested()) work.result.ended.reset();
    // Nobody was there for any of them: that is about no item.
    const bool none = work.result.items > 0 && work.result.failed == work.result.items;
    if (none && work.outage && !work.result.ended) work.result.ended = work.outage;
  }

  io::Task<> purge_batch(ZoneWork& work, std::vector<ItemSpool::Item> items) {
    const bulk::BatchCall call = [&](std::span<const std::size_t> which)
        -> io::Task<Result<std::vector<store::KeyFailure>>> {
      std::vector<std::string_view> texts;
      texts.reserve(which.size());
      for (const std::size_t index : which) texts.push_back(items[index].text);
      const PurgeApi::Call one{.kind = plan_.kind,
                               .items = texts,
                               .part = which.size() < items.size(),
                               .sent = &work.result.requests};
      auto answer = co_await api_.purge(work.result.zone, one);
      if (!answer) co_return std::unexpected(std::move(answer.error()));
      co_return std::vector<store::KeyFailure>();
    };
    bulk::BatchOutcome outcome = co_await bulk::run_batch(job_, work.size, items.size(), call);
    std::vector<std::int64_t> purged;
    std::vector<std::int64_t> refused;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (outcome.endings[i] == bulk::Ending::done) purged.push_back(items[i].id);
      if (outcome.endings[i] == bulk::Ending::failed) refused.push_back(items[i].id);
    }
    std::vector<bulk::FailedKey> failed;
    for (store::KeyFailure& failure : outcome.reasons) {
      note_cause(work, failure.error);
      failed.push_back({items[failure.index].text, std::move(failure.error)});
    }
    Result<> kept = co_await spool_.purged(purged);
    if (kept && !refused.empty()) kept = co_await spool_.refused(refused);
    if (kept) kept = failures_.append(failed);
    work.result.purged += purged.size();
    work.result.failed += refused.size();
    done_.count += purged.size();
    failed_.count += refused.size();
    if (!kept && !work.result.ended) work.result.ended = kept.error();
    if (outcome.ended && !work.result.ended) {
      // What a stop has cut off tells only that.
      const ErrorCode code = outcome.ended->code;
      const bool cut = job_.stop.requested() &&
                       (code == ErrorCode::interrupted || code == job_.stop.reason().code);
      work.result.ended = cut ? stop_reason(job_, api_) : *outcome.ended;
    }
  }

  static void note_cause(ZoneWork& work, const Error& error) {
    const bool outage = error.code == ErrorCode::network || error.code == ErrorCode::timeout ||
                        error.code == ErrorCode::throttled;
    const bool same = !work.outage || work.outage->code == error.code;
    if (!outage || !same) work.refused_some = true;
    if (work.refused_some) {
      work.outage.reset();
    } else {
      work.outage = error;
    }
  }

  // What was not sent, or not to its end, is written behind the items that were refused.
  io::Task<> write_rest(ZoneWork& work) {
    if (!work.result.ended) co_return;
    std::int64_t after = 0;
    for (;;) {
      auto items = co_await spool_.due(work.result.zone.id, after, kPiece);
      if (!items || items->empty()) co_return;
      std::vector<bulk::FailedKey> rest;
      for (ItemSpool::Item& item : *items)
        rest.push_back({std::move(item.text), *work.result.ended});
      after = items->back().id;
      if (!failures_.append(rest)) co_return;
    }
  }

  bulk::Job& job_;
  PurgeApi& api_;
  ItemSpool& spool_;
  PurgePlan plan_;
  std::vector<ZoneWork> works_;
  std::uint64_t total_ = 0;
  bulk::FailureFile failures_;
  flow::Stage& done_;
  flow::Stage& failed_;
};

template <class Member>
std::uint64_t sum(const std::vector<ZoneResult>& zones, Member member) {
  std::uint64_t all = 0;
  for (const ZoneResult& zone : zones) all += zone.*member;
  return all;
}

}  // namespace

std::uint64_t PurgeReport::items() const {
  return sum(zones, &ZoneResult::items);
}
std::uint64_t PurgeReport::purged() const {
  return sum(zones, &ZoneResult::purged);
}
std::uint64_t PurgeReport::failed() const {
  return sum(zones, &ZoneResult::failed);
}

const Error* PurgeReport::ended() const {
  const auto found =
      std::ranges::find_if(zones, [](const ZoneResult& zone) { return zone.ended.has_value(); });
  return found == zones.end() ? nullptr : &*found->ended;
}

ExitCode exit_code(const PurgeReport& report) {
  if (report.left() == 0 && report.ended() == nullptr) return ExitCode::done;
  // Some zones are purged and one is not: some failed. A stop is a stop.
  const Error* const ended = report.ended();
  if (ended == nullptr) return ExitCode::some_failed;
  const bool all_ended = std::ranges::all_of(
      report.zones, [](const ZoneResult& zone) { return zone.ended.has_value(); });
  const bool stopped = ended->code == ErrorCode::interrupted || ended->code == ErrorCode::deadline;
  return all_ended || stopped ? exit_code(ended->code) : ExitCode::some_failed;
}

io::Task<PurgeReport> purge(bulk::Job& job, PurgeApi& api, ItemSpool& spool, PurgePlan plan) {
  Purger purger(job, api, spool, std::move(plan));
  co_return co_await purger.run();
}

io::Task<PurgeReport> purge_everything(bulk::Job& job, PurgeApi& api, std::vector<Zone> zones,
                                       bool dry_run) {
  PurgeReport report;
  for (Zone& zone : zones) report.zones.push_back({.zone = std::move(zone), .items = 1});
  flow::Stage& done = job.progress.stage("purged");
  done.total = report.zones.size();
  const auto purge_zone = [&](ZoneResult& result) -> io::Task<> {
    const PurgeApi::Call call{.sent = &result.requests};
    auto purged = co_await api.purge(result.zone, call);
    if (purged) {
      ++result.purged;
      ++done.count;
    } else {
      result.ended = job.stop.requested() ? stop_reason(job, api) : purged.error();
    }
  };
  io::TaskGroup group(job.executor, job.settings.concurrency);
  for (ZoneResult& result : report.zones) {
    if (dry_run) {
      result.purged = result.requests = 1;
    } else {
      co_await group.spawn(purge_zone(result));
    }
  }
  co_await group.join();
  co_return report;
}

}  // namespace sluice::cdn
