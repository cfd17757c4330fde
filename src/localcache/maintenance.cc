#include "localcache/maintenance.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "localcache/change.h"
#include "localcache/reserve.h"
#include "localcache/ticket.h"

namespace sluice::localcache {

namespace {

constexpr std::size_t kStep = 500;
// Space within the database that is used for nothing is given back when it is so much of it.
constexpr std::uint64_t kLeastFreed = std::uint64_t{4} << 20;

std::uint64_t size_of(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

// Makes the database as small as its content, when a third of it and more than a little is free.
Result<> compact(OpenCache& open) {
  const auto free = open.database->number("PRAGMA freelist_count");
  const auto pages = open.database->number("PRAGMA page_count");
  const auto page = open.database->number("PRAGMA page_size");
  if (!free || !pages || !page) return {};
  const auto free_bytes = static_cast<std::uint64_t>(*free * *page);
  if (free_bytes >= kLeastFreed && *free * 3 >= *pages) {
    if (auto done = open.database->run("VACUUM"); !done) {
      // Others are busy with it; there will be another time.
      if (done.error().code == ErrorCode::conflict) return {};
      // A copy of the content finds no room. The space within the database is still free for
      // others.
      if (done.error().code != ErrorCode::no_space) return done;
    }
  }
  // Moves the log into the database as far as readers allow.
  if (auto done = open.database->run("PRAGMA wal_checkpoint(TRUNCATE)");
      !done && done.error().code != ErrorCode::conflict &&
      done.error().code != ErrorCode::no_space) {
    return done;
  }
  keep_reserve(open.location);
  return {};
}

}  // namespace

Result<std::uint64_t> remove_orphans(OpenCache& open, std::uint64_t& freed_bytes) {
  // Under the write lock nobody is between giving a file its name and naming it in an entry.
  auto transaction = sqlite::Transaction::begin(*open.database);
  if (!transaction) return std::unexpected(transaction.error());
  const auto files = list_value_files(open.location.values(), true);
  if (!files) return std::unexpected(files.error());
  const auto named = open.table->files();
  if (!named) return std::unexpected(named.error());
  std::uint64_t count = files->abandoned.size();
  const auto folder = open_folder(open.location.values());
  if (!folder) {
    if (folder.error().code == ErrorCode::not_found) return count;
    return std::unexpected(folder.error());
  }
  for (const std::string& file : files->values) {
    if (named->contains(file)) continue;
    struct stat status{};
    const bool known = ::fstatat(folder->get(), file.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!remove_value_file(folder->get(), file)) continue;
    ++count;
    if (known) freed_bytes += static_cast<std::uint64_t>(status.st_size);
  }
  return count;
}

Result<Collected> Cache::gc() {
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::gc);
  if (auto checked = check_changeable(open); !checked) return std::unexpected(checked.error());
  Collected collected;
  if (!exists()) return collected;
  const std::uint64_t before =
      size_of(location().database()) + size_of(location().database() + "-wal");
  std::size_t places = 0;
  auto done = in_steps(
      open,
      [&](Change& change) -> Result<bool> {
        const std::size_t most = open.step(kStep);
        const bool folds = places < Statistics::hit_places;
        if (folds) {
          if (auto folded = change.fold(most, kStep); !folded) {
            return std::unexpected(folded.error());
          }
        }
        const auto expired = change.erase_expired(most);
        if (!expired) return std::unexpected(expired.error());
        const std::uint64_t evicted_before = change.evicted();
        const auto holds = change.shrink(change.totals().limits, open.step(kMostEvicted));
        if (!holds) return holds;
        change.when_committed(
            [&, folds, expired = *expired, evicted = change.evicted() - evicted_before] {
              if (folds) places += kStep;
              collected.expired += expired;
              collected.evicted += evicted;
            });
        return *holds && *expired < most && places + (folds ? kStep : 0) >= Statistics::hit_places;
      },
      Purpose::free);
  if (!done) return std::unexpected(done.error());
  auto orphans = remove_orphans(open, collected.freed_bytes);
  if (!orphans) return std::unexpected(open.explain(orphans.error()));
  collected.orphans = *orphans;
  if (auto removed = remove_unused_locks(location().locks()); !removed) {
    return std::unexpected(removed.error());
  }
  // Of a repair that was killed: none is going on, since it wants the namespace alone.
  // The database that is open is not the damaged one, so what was made instead of it is not needed.
  for (const std::string& left :
       {location().database() + ".repair", location().database() + ".repair-journal",
        location().repaired_database()}) {
    ::unlink(left.c_str());
  }
  if (auto compacted = compact(open); !compacted) {
    return std::unexpected(open.explain(compacted.error()));
  }
  const std::uint64_t after =
      size_of(location().database()) + size_of(location().database() + "-wal");
  collected.freed_bytes += before - std::min(before, after);
  return collected;
}

Result<std::uint64_t> Cache::clear() {
  OpenCache& open = *state_->open;
  const Timer timer(open, Timed::clear);
  if (auto checked = check_changeable(open); !checked) return std::unexpected(checked.error());
  std::uint64_t count = 0;
  if (!exists()) return count;
  auto done = in_steps(
      open,
      [&](Change& change) -> Result<bool> {
        count = change.totals().entries;
        if (auto cleared = change.clear(); !cleared) return std::unexpected(cleared.error());
        return true;
      },
      Purpose::free);
  if (!done) return std::unexpected(done.error());
  std::uint64_t freed = 0;
  if (auto orphans = remove_orphans(open, freed); !orphans) {
    return std::unexpected(open.explain(orphans.error()));
  }
  if (auto compacted = compact(open); !compacted) {
    return std::unexpected(open.explain(compacted.error()));
  }
  return count;
}

}  // namespace sluice::localcache
