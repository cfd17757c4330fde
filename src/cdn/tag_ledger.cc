#include "cdn/tag_ledger.h"

#include <unistd.h>

#include <map>
#include <set>
#include <utility>

#include "bulk/failure_file.h"
#include "cdn/metadata_tags.h"

namespace sluice::cdn {

namespace {

constexpr std::size_t kPiece = 1000;

using Fate = ItemSpool::Fate;

// Whether nobody has answered what became of a key: it may be gone.
bool is_unanswered(const Error& error) {
  return error.code == ErrorCode::network || error.code == ErrorCode::timeout;
}

// What is said of a tag by two entries that bear it.
Fate both(Fate one, Fate other) {
  const auto says = [&](Fate fate) { return one == fate || other == fate; };
  const bool gone = says(Fate::gone) || says(Fate::gone_in_part);
  const bool unknown = says(Fate::unknown) || says(Fate::gone_in_part);
  if (gone) return unknown ? Fate::gone_in_part : Fate::gone;
  return unknown ? Fate::unknown : Fate::kept;
}

}  // namespace

TagLedger::TagLedger(bulk::Job& job, PurgeApi& api, ItemSpool& spool, Options options)
    : job_(job), api_(api), spool_(spool), options_(std::move(options)) {
  for (const Zone& zone : options_.zones) zone_ids_.push_back(zone.id);
}

template <class FateOf>
std::vector<ItemSpool::Noted> TagLedger::noted(const store::Block& entries, FateOf fate_of) {
  std::map<std::string, Fate, std::less<>> tags;
  const auto add = [&](const std::string& tag, Fate fate) {
    const auto [place, is_new] = tags.emplace(tag, fate);
    if (!is_new) place->second = both(place->second, fate);
  };
  unusable_in_batch_ = untagged_in_batch_ = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const MetadataTags found = tags_of(entries[i].metadata, options_.field);
    const Fate fate = fate_of(i);
    for (const std::string& tag : found.tags) add(tag, fate);
    for (const std::string& tag : options_.fixed) add(tag, fate);
    unusable_in_batch_ += found.unusable;
    if (found.tags.empty()) ++untagged_in_batch_;
  }
  std::vector<ItemSpool::Noted> noted;
  noted.reserve(tags.size());
  for (auto& [tag, fate] : tags) noted.push_back({tag, fate});
  return noted;
}

io::Task<Result<>> TagLedger::before(const store::Block& entries) {
  const auto items = noted(entries, [](std::size_t) { return Fate::unknown; });
  unusable_ += unusable_in_batch_;
  entries_ += entries.size();
  untagged_ += untagged_in_batch_;
  if (items.empty()) co_return Result<>();
  co_return co_await spool_.note(zone_ids_, items);
}

io::Task<Result<>> TagLedger::after(const store::Block& entries,
                                    const bulk::BatchOutcome& outcome) {
  std::set<std::size_t> unanswered;
  for (const store::KeyFailure& failure : outcome.reasons) {
    if (is_unanswered(failure.error)) unanswered.insert(failure.index);
  }
  const auto fate_of = [&](std::size_t i) {
    switch (outcome.endings[i]) {
      case bulk::Ending::open:
        return Fate::unknown;
      case bulk::Ending::done:
        return Fate::gone;
      case bulk::Ending::failed:
        return unanswered.contains(i) ? Fate::gone : Fate::kept;
      case bulk::Ending::skipped:
        break;
    }
    return Fate::kept;
  };
  const auto items = noted(entries, fate_of);
  if (items.empty()) co_return Result<>();
  co_return co_await spool_.settle(zone_ids_, items);
}

io::Task<Result<>> TagLedger::end(const Error* early) {
  // Of an earlier run.
  if (!options_.failure_path.empty()) ::unlink(options_.failure_path.c_str());
  // What is open in a run that ended early may never have been sent: a resumed one will know.
  if (early == nullptr) {
    if (auto presumed = co_await spool_.presume(); !presumed) {
      co_return std::unexpected(std::move(presumed.error()));
    }
  }
  if (!job_.stop.requested()) {
    bulk::Job job = job_;
    job.journal = nullptr;
    job.failure_path.clear();  // what is left is written below
    PurgePlan plan{.kind = PurgeKind::tags,
                   .zones = options_.zones,
                   .dry_run = options_.dry_run,
                   .done = "tags purged"};
    report_ = co_await purge(job, api_, spool_, std::move(plan));
    if (options_.dry_run) co_return Result<>();
  }
  const Error* ended = report_ ? report_->ended() : nullptr;
  std::string reason = "they were not purged yet";
  if (report_ && !report_->reasons.empty()) reason = report_->reasons.front().message;
  if (ended != nullptr) reason = ended->message;
  if (auto counted = co_await count_left(reason); !counted) co_return counted;
  if (left_ == 0) co_return Result<>();
  // The first reason of a run stays. But a stop that came when all was deleted ends it here.
  if (!report_) co_return std::unexpected(job_.stop.reason());
  if (ended != nullptr && job_.stop.requested()) co_return std::unexpected(*ended);
  const ErrorCode code = ended != nullptr ? ended->code : ErrorCode::unavailable;
  refused_some_ = ended == nullptr && early == nullptr;
  co_return fail(code, "the keys are deleted, but {} of {} cache tags were not purged: {}", left_,
                 report_->items(), reason);
}

io::Task<Result<>> TagLedger::count_left(const std::string& reason) {
  left_ = 0;
  bulk::FailureFile file(options_.failure_path, 0);
  const Error error{ErrorCode::unavailable, Retry::again, std::nullopt, reason};
  for (const std::string& zone : zone_ids_) {
    for (std::int64_t after = 0;;) {
      auto items = co_await spool_.left(zone, after, kPiece);
      if (!items) co_return std::unexpected(std::move(items.error()));
      if (items->empty()) break;
      after = items->back().id;
      left_ += items->size();
      std::vector<bulk::FailedKey> tags;
      for (ItemSpool::Item& item : *items) tags.push_back({std::move(item.text), error});
      if (auto written = file.append(tags); !written) co_return written;
    }
  }
  left_file_ = file.path();
  co_return file.sync();
}

}  // namespace sluice::cdn
