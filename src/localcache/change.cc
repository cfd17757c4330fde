#include "localcache/change.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "localcache/reserve.h"

namespace sluice::localcache {

namespace {

bool exceeds(std::uint64_t entries, std::uint64_t bytes, const Limits& limits) {
  return bytes > limits.max_bytes || (limits.max_entries > 0 && entries > limits.max_entries);
}

}  // namespace

Error refused(Error error, Result<bool> erased) {
  if (!erased) return std::move(erased.error());
  if (*erased) error.message += " The value before it was deleted, since it is outdated.";
  return error;
}

Result<Change> Change::begin(OpenCache& open) {
  auto transaction = sqlite::Transaction::begin(*open.database);
  if (!transaction) return std::unexpected(transaction.error());
  const auto totals = open.totals();
  if (!totals) return std::unexpected(totals.error());
  return Change(open, std::move(*transaction), *totals);
}

double Change::priority(const Row& row) const {
  return policy_.priority(
      {.frequency = row.hits + 1, .cost = static_cast<double>(row.cost), .size = row.bytes()});
}

Result<bool> Change::fold_into(Row& row) {
  if (open_->statistics == nullptr) return false;
  const auto hits = open_->statistics->take_hits(static_cast<std::uint64_t>(row.id));
  if (!hits) return false;
  return add_hits(row, *hits);
}

Result<bool> Change::add_hits(Row& row, const Statistics::Hits& hits) {
  if (!Statistics::same_check(hits.check, hit_check(row.key))) return false;
  row.hits += hits.times;
  row.used = std::max(row.used, to_milliseconds(hits.last));
  row.priority = priority(row);
  if (auto touched = table_->touch(row); !touched) return std::unexpected(touched.error());
  return true;
}

Result<> Change::take_out(const Row& row) {
  if (!row.tags.empty()) {
    if (auto removed = table_->remove_tags(row.id, row.tags); !removed) return removed;
  }
  if (row.in_file()) {
    old_files_.push_back(row.file);
    totals_.file_bytes -= std::min(totals_.file_bytes, row.file_bytes);
  }
  totals_.entries -= std::min<std::uint64_t>(totals_.entries, 1);
  totals_.bytes -= std::min(totals_.bytes, row.bytes());
  return {};
}

Result<std::optional<Row>> Change::evict(std::int64_t but) {
  auto row = table_->first_expired(now_, but);
  if (!row) return row;
  if (*row) {
    ++expired_;
  } else {
    for (;;) {
      row = table_->least(but);
      if (!row || !*row) return row;
      // What was read since the last write is worth more than its row says.
      const auto folded = fold_into(**row);
      if (!folded) return std::unexpected(folded.error());
      if (!*folded) break;
    }
    policy_.evicted((*row)->priority);
    totals_.inflation = policy_.inflation();
    ++evicted_;
  }
  if (auto taken = take_out(**row); !taken) return std::unexpected(taken.error());
  return row;
}

Result<Stored> Change::set(std::string_view key, PreparedValue& content, const SetOptions& options,
                           std::size_t most_evicted) {
  const Limits& limits = totals_.limits;
  if (!fits(key, content.value_bytes, limits)) return std::unexpected(no_room(key, limits));
  auto old = table_->find(key);
  if (!old) return std::unexpected(old.error());
  const std::uint64_t old_entries = *old ? 1 : 0;
  const std::uint64_t old_bytes = *old ? (*old)->bytes() : 0;
  Row row{.id = *old ? (*old)->id : 0, .key = std::string(key)};

  const std::uint64_t bytes = key.size() + content.value_bytes;
  for (std::size_t evicted = 0;
       exceeds(totals_.entries - old_entries + 1, totals_.bytes - old_bytes + bytes, limits);
       ++evicted) {
    if (evicted == most_evicted) {
      if (!*old && row.id != 0) {
        if (auto erased = table_->erase(row.id); !erased) return std::unexpected(erased.error());
      }
      return Stored::again;
    }
    const auto gone = evict(row.id);
    if (!gone) return std::unexpected(gone.error());
    if (!*gone) {
      return fail(ErrorCode::corrupt, Retry::fatal,
                  "{} is damaged: its totals do not fit its entries.", open_->location.database());
    }
    if (row.id == 0) {
      row.id = (*gone)->id;  // it is overwritten below, and until then it is still there
    } else if (auto erased = table_->erase((*gone)->id); !erased) {
      return std::unexpected(erased.error());
    }
  }

  row.value_bytes = content.value_bytes;
  row.created = now_;
  // Compared without adding, which could overflow.
  if (options.ttl) {
    row.expires =
        options.ttl->count() >= kLatestTime - now_ ? kLatestTime : now_ + options.ttl->count();
  }
  row.used = now_;
  row.hits = *old ? (*old)->hits : 0;
  row.cost = std::max<std::int64_t>(options.cost.count(), 0);
  row.form = content.form;
  row.tags = pack_tags(options.tags);
  row.checksum = entry_checksum(row.sealed(), content.stored_hash);
  row.priority = priority(row);

  if (*old) {
    if (auto taken = take_out(**old); !taken) return std::unexpected(taken.error());
  }
  std::string column;
  std::string_view stored = content.stored;
  if (content.file) {
    stored = column = file_column(content.file->name(), content.file->file_bytes());
    totals_.file_bytes += content.file->file_bytes();
    new_files_.push_back(std::move(*content.file));
    content.file.reset();
    // At once, so that the steps of a batch that follow can read it.
    if (auto published = new_files_.back().publish(); !published) {
      return std::unexpected(published.error());
    }
  }
  const auto written = row.id != 0 ? table_->update(row, stored) : table_->insert(row, stored);
  if (!written) return std::unexpected(written.error());
  if (!row.tags.empty()) {
    if (auto added = table_->add_tags(row.id, row.tags); !added) {
      return std::unexpected(added.error());
    }
  }
  ++totals_.entries;
  totals_.bytes += bytes;
  return Stored::yes;
}

Result<bool> Change::erase(std::string_view key) {
  const auto row = table_->find(key);
  if (!row) return std::unexpected(row.error());
  if (!*row) return false;
  if (auto erased = erase(**row); !erased) return std::unexpected(erased.error());
  return true;
}

Result<> Change::erase(const Row& row) {
  if (auto taken = take_out(row); !taken) return taken;
  return table_->erase(row.id);
}

Result<bool> Change::shrink(const Limits& limits, std::size_t most) {
  for (std::size_t done = 0; exceeds(totals_.entries, totals_.bytes, limits); ++done) {
    if (done == most) return false;
    const auto gone = evict(0);
    if (!gone) return std::unexpected(gone.error());
    if (!*gone) {
      return fail(ErrorCode::corrupt, Retry::fatal,
                  "{} is damaged: its totals do not fit its entries.", open_->location.database());
    }
    if (auto erased = table_->erase((*gone)->id); !erased) return std::unexpected(erased.error());
  }
  return true;
}

Result<std::uint64_t> Change::erase_expired(std::size_t most) {
  for (std::uint64_t done = 0; done < most; ++done) {
    const auto row = table_->first_expired(now_, 0);
    if (!row) return std::unexpected(row.error());
    if (!*row) return done;
    ++expired_;
    if (auto erased = erase(**row); !erased) return std::unexpected(erased.error());
  }
  return most;
}

Result<> Change::clear() {
  expired_ = evicted_ = 0;
  totals_ = Totals{.limits = totals_.limits};
  return table_->clear();
}

Result<std::uint64_t> Change::fold(std::size_t most, std::size_t places) {
  std::uint64_t folded = 0;
  if (open_->statistics == nullptr) return folded;
  for (const Statistics::Hits& hits : open_->statistics->take_some_hits(most, places)) {
    auto row = table_->find_id(static_cast<std::int64_t>(hits.id));
    if (!row) return std::unexpected(row.error());
    if (!*row) continue;
    const auto added = add_hits(**row, hits);
    if (!added) return std::unexpected(added.error());
    if (*added) ++folded;
  }
  return folded;
}

Result<> Change::commit() {
  Result<> done;
  if (totals_ != before_) done = table_->set_totals(totals_);
  if (done && !new_files_.empty() && open_->options.sync == Sync::full) {
    // Their names must not be lost when the entries are not.
    const auto folder = open_folder(open_->location.values());
    if (!folder) return std::unexpected(folder.error());
    if (::fsync(folder->get()) != 0) {
      done = std::unexpected(system_error(errno, fmt::format("sync {}", open_->location.values())));
    }
  }
  if (done) done = transaction_.commit();
  if (!done) return done;
  for (NewValueFile& file : new_files_) file.keep();
  if (!old_files_.empty()) {
    // What cannot be deleted now is an orphan, which gc finds.
    if (const auto folder = open_folder(open_->location.values())) {
      for (const std::string& file : old_files_) remove_value_file(folder->get(), file);
    }
  }
  open_->written = true;
  for (const auto& then : then_) then();
  open_->count(Counter::evicted, evicted_);
  open_->count(Counter::expired, expired_);
  return {};
}

namespace {

Result<bool> one_step(OpenCache& open, const std::function<Result<bool>(Change&)>& step) {
  auto change = Change::begin(open);
  if (!change) return std::unexpected(change.error());
  auto done = step(*change);
  if (!done) return done;
  if (auto committed = change->commit(); !committed) return std::unexpected(committed.error());
  return done;
}

// Moves the log into the database, so that what comes next is written over it. What fails is seen
// by what comes next.
void reuse_log(OpenCache& open) {
  static_cast<void>(open.database->run("PRAGMA wal_checkpoint(PASSIVE)"));
}

// False: there is no more to be had.
bool find_room(OpenCache& open) {
  if (open.room == OpenCache::Room::usual) {
    open.room = OpenCache::Room::log;
  } else if (open.room == OpenCache::Room::log && release_reserve(open.location)) {
    open.room = OpenCache::Room::reserve;
  } else {
    return false;
  }
  reuse_log(open);
  return true;
}

// Gives back what was needed on a full disk, for the next time.
void restore_room(OpenCache& open) {
  if (open.room == OpenCache::Room::reserve) {
    static_cast<void>(open.database->run("PRAGMA wal_checkpoint(TRUNCATE)"));
    keep_reserve(open.location);
  }
  open.room = OpenCache::Room::usual;
}

}  // namespace

Result<> in_steps(OpenCache& open, const std::function<Result<bool>(Change&)>& step,
                  Purpose purpose) {
  // Another process may have the reserve, to free what it frees.
  constexpr int kMostWaits = 20;
  constexpr Milliseconds kWait{50};
  int waits = 0;
  for (;;) {
    const auto done = one_step(open, step);
    if (!done && done.error().code == ErrorCode::no_space && purpose == Purpose::free) {
      if (find_room(open)) continue;
      if (waits++ < kMostWaits) {
        std::this_thread::sleep_for(kWait);
        reuse_log(open);
        continue;
      }
    }
    if (done && !*done && open.room != OpenCache::Room::usual) reuse_log(open);
    if (done && !*done) continue;
    restore_room(open);
    if (!done) return std::unexpected(open.explain(done.error()));
    return {};
  }
}

}  // namespace sluice::localcache
