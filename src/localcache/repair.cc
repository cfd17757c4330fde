#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <optional>
#include <utility>

#include "localcache/change.h"
#include "localcache/maintenance.h"
#include "localcache/salvage.h"
#include "localcache/schema.h"
#include "sqlite/format.h"
#include "sqlite/page_file.h"

namespace sluice::localcache {

namespace {

bool is_corrupt(const Error& error) {
  return error.code == ErrorCode::corrupt;
}

// Whether the file is a cache of ours whose structure is whole. Refuses foreign and newer ones.
Result<bool> is_whole(const std::string& path, const OpenOptions& options) {
  if (lost_all_but_its_log(path)) return false;
  auto database = sqlite::Database::open(path, {.access = sqlite::Access::read_write,
                                                .busy_timeout = options.busy_timeout,
                                                .keep_log = true});
  if (!database) {
    if (is_corrupt(database.error())) return false;
    return std::unexpected(database.error());
  }
  if (auto adopted = sqlite::adopt(*database, kCacheFormat); !adopted) {
    if (is_corrupt(adopted.error())) return false;
    return std::unexpected(adopted.error());
  }
  auto rows = database->prepare("PRAGMA integrity_check(1)");
  if (!rows) return is_corrupt(rows.error()) ? Result<bool>(false) : std::unexpected(rows.error());
  const auto stepped = rows->step();
  if (!stepped) {
    return is_corrupt(stepped.error()) ? Result<bool>(false) : std::unexpected(stepped.error());
  }
  return *stepped && rows->text(0) == "ok";
}

// Drops what is damaged, and makes totals and tags anew.
Result<> repair_content(OpenCache& open, Repaired& repaired) {
  auto transaction = sqlite::Transaction::begin(*open.database);
  if (!transaction) return std::unexpected(transaction.error());
  std::vector<std::int64_t> bad;
  Totals totals;
  if (const auto known = open.table->totals()) totals = *known;
  totals.entries = totals.bytes = totals.file_bytes = 0;
  if (!std::isfinite(totals.inflation)) totals.inflation = 0;
  Result<> done = open.table->scan(0, [&](const Row& row, std::string_view stored) {
    const auto value = read_value(open, row, stored);
    if (!value || !*value) {
      bad.push_back(row.id);
    } else {
      ++totals.entries;
      totals.bytes += row.bytes();
      totals.file_bytes += row.file_bytes;
    }
    return true;
  });
  for (std::size_t i = 0; done && i < bad.size(); ++i) done = open.table->erase(bad[i]);
  if (done) done = open.database->run("DELETE FROM tag");
  if (done) {
    std::vector<std::pair<std::int64_t, std::string>> tagged;
    done = open.table->scan(0, [&](const Row& row, std::string_view) {
      if (!row.tags.empty()) tagged.emplace_back(row.id, row.tags);
      return true;
    });
    for (std::size_t i = 0; done && i < tagged.size(); ++i) {
      done = open.table->add_tags(tagged[i].first, tagged[i].second);
    }
  }
  if (done) done = open.table->set_totals(totals);
  if (done) done = transaction->commit();
  repaired.kept = totals.entries;
  repaired.dropped += bad.size();
  return done;
}

// Puts what is found of a damaged database into a new one, and counts it.
class Rebuild {
 public:
  Rebuild(OpenCache& old, Table& target, Repaired& repaired)
      : old_(old), target_(target), repaired_(repaired) {}

  Result<> take(const Found& found) {
    const auto value = read_value(old_, found.row, found.stored);
    if (!value || !*value) {
      if (found.sure) ++repaired_.dropped;
      return {};
    }
    const auto same_key = target_.find(found.row.key);
    if (!same_key) return std::unexpected(same_key.error());
    const auto same_id = target_.find_id(found.row.id);
    if (!same_id) return std::unexpected(same_id.error());
    // A place is used for one entry after the other, so what is not sure is older.
    if (!found.sure && (*same_key || *same_id)) return {};
    if (*same_key) {
      // Two of one key are in the table only if a page of it is an old one: the newest counts.
      ++repaired_.dropped;
      if ((*same_key)->created >= found.row.created) return {};
      if (auto erased = target_.erase((*same_key)->id); !erased) return erased;
      --totals_.entries;
      totals_.bytes -= (*same_key)->bytes();
      totals_.file_bytes -= (*same_key)->file_bytes;
    }
    Row copy = found.row;
    if (*same_id || copy.id < 1) copy.id = 0;
    if (auto inserted = target_.insert(copy, found.stored); !inserted) return inserted;
    if (!found.sure) ++repaired_.unsure;
    ++totals_.entries;
    totals_.bytes += copy.bytes();
    totals_.file_bytes += copy.file_bytes;
    return target_.add_tags(copy.id, copy.tags);
  }

  // Of what was found, and with what the damaged one said beside that.
  Totals totals(const std::optional<Totals>& known, const Limits& usual) {
    Totals totals = totals_;
    if (!known) {
      // Nothing that is intact goes because nobody knows how much was allowed.
      totals.limits = {.max_bytes = std::max(usual.max_bytes, totals.bytes)};
      return totals;
    }
    totals.inflation = known->inflation;
    totals.limits = known->limits.max_bytes == 0 ? usual : known->limits;
    return totals;
  }

 private:
  OpenCache& old_;
  Table& target_;
  Repaired& repaired_;
  Totals totals_;
};

// Moves what can be read of the damaged database into a new one at `path`.
Result<> rebuild(const Location& location, const OpenOptions& options, const std::string& path,
                 Repaired& repaired) {
  constexpr int kCacheKib = 64 << 10;
  const auto damaged =
      sqlite::PageFile::open(location.database(), static_cast<std::size_t>(kCacheFormat.page_size));
  if (!damaged) return std::unexpected(damaged.error());
  ::unlink(path.c_str());
  if (!open_file(path, O_WRONLY | O_CREAT | O_EXCL, location.for_group ? 0660 : 0600)) {
    return std::unexpected(system_error(errno, fmt::format("make {}", path)));
  }
  // Not kept until it is complete: a power cut leaves the damaged one as it was.
  auto made =
      sqlite::Database::open(path, {.access = sqlite::Access::read_write, .cache_kib = kCacheKib});
  if (!made) return std::unexpected(made.error());
  if (auto adopted = sqlite::adopt(*made, kCacheFormat, sqlite::Journal::rollback); !adopted) {
    return adopted;
  }
  Table target(*made);
  OpenCache old;
  old.location = location;
  old.options = options;
  auto transaction = sqlite::Transaction::begin(*made);
  if (!transaction) return std::unexpected(transaction.error());
  Rebuild rebuild(old, target, repaired);
  const auto salvaged = salvage(*damaged, [&](const Found& found) { return rebuild.take(found); });
  if (!salvaged) return std::unexpected(salvaged.error());
  const Totals totals = rebuild.totals(salvaged->totals, options.limits);
  if (auto set = target.set_totals(totals); !set) return set;
  if (auto committed = transaction->commit(); !committed) return committed;
  repaired.kept = totals.entries;
  repaired.dropped += salvaged->damaged;
  repaired.limits_lost = !salvaged->totals;
  if (salvaged->totals) {
    const std::uint64_t seen = repaired.kept + repaired.dropped;
    repaired.unreadable = std::max(salvaged->totals->entries, seen) - seen;
  } else if (salvaged->complete) {
    repaired.unreadable = 0;
  }
  return {};
}

// Puts the new database, which is complete, in the place of the damaged one, which is kept under
// another name. In between there is no database, so that nobody takes the damaged one without its
// log for what was stored last; a repair that is killed there is finished by the next one.
Result<> replace(const Location& location, const std::string& saved_as) {
  const std::string path = location.database();
  const auto failed = [&](std::string_view doing) {
    return std::unexpected(system_error(errno, fmt::format("{} {}", doing, path)));
  };
  if (::rename(path.c_str(), saved_as.c_str()) != 0 && errno != ENOENT) return failed("keep");
  // Its log or journal must never be applied to the new one.
  for (const char* const ending : {"-wal", "-journal"}) {
    if (::rename((path + ending).c_str(), (saved_as + ending).c_str()) != 0 && errno != ENOENT) {
      return failed("keep the log of");
    }
  }
  if (::unlink((path + "-shm").c_str()) != 0 && errno != ENOENT) return failed("replace");
  if (::rename(location.repaired_database().c_str(), path.c_str()) != 0) return failed("replace");
  return {};
}

}  // namespace

Result<Repaired> Cache::repair(const Location& location, const OpenOptions& options) {
  if (auto checked = check_namespace(location.name); !checked) {
    return std::unexpected(checked.error());
  }
  const std::string path = location.database();
  const auto is_there = [](const std::string& file) { return ::access(file.c_str(), F_OK) == 0; };
  Repaired repaired;
  if (!is_there(path) && !is_there(location.repaired_database()) && !lost_all_but_its_log(path)) {
    return repaired;
  }
  if (auto made = make_folders(location); !made) return std::unexpected(made.error());
  const auto users = lock_users(location, RangeLock::exclusive, true, options.busy_timeout);
  if (!users) return std::unexpected(users.error());
  if (auto checked = check_is_file(path); !checked) return std::unexpected(checked.error());

  // A killed repair has left all that it had to do but to put its result in place.
  bool replaces = !is_there(path) && is_there(location.repaired_database());
  if (!replaces) {
    // What its log holds is found beside an empty one, too.
    if (!is_there(path) && !open_file(path, O_WRONLY | O_CREAT, location.for_group ? 0660 : 0600)) {
      return std::unexpected(system_error(errno, fmt::format("make {}", path)));
    }
    const auto whole = is_whole(path, options);
    if (!whole) return std::unexpected(whole.error());
    if (!*whole) {
      const std::string made = path + ".repair";
      if (auto rebuilt = rebuild(location, options, made, repaired); !rebuilt) {
        return std::unexpected(rebuilt.error());
      }
      if (::rename(made.c_str(), location.repaired_database().c_str()) != 0) {
        return std::unexpected(system_error(errno, fmt::format("name {}", made)));
      }
      replaces = true;
    }
  }
  if (replaces) {
    repaired.saved_as = fmt::format("{}.damaged-{}", path, random_name());
    repaired.rebuilt = true;
    if (auto replaced = replace(location, repaired.saved_as); !replaced) {
      return std::unexpected(replaced.error());
    }
    if (!is_there(repaired.saved_as)) repaired.saved_as.clear();  // the killed one has kept it
  }

  // Like any other user from here on, but alone.
  OpenCache open;
  open.location = location;
  open.options = options;
  auto database = sqlite::Database::open(path, {.access = sqlite::Access::read_write});
  if (!database) return std::unexpected(database.error());
  const auto journal =
      on_network_file_system(path) ? sqlite::Journal::rollback : sqlite::Journal::log;
  if (auto adopted = sqlite::adopt(*database, kCacheFormat, journal); !adopted) {
    return std::unexpected(adopted.error());
  }
  if (repaired.rebuilt && journal == sqlite::Journal::log) {
    if (auto set = database->run("PRAGMA journal_mode=WAL"); !set) {
      return std::unexpected(set.error());
    }
  }
  open.database = std::make_unique<sqlite::Database>(std::move(*database));
  open.table.emplace(*open.database);
  if (auto done = repair_content(open, repaired); !done) return std::unexpected(done.error());
  // Old entries that came back may be more than is allowed.
  if (auto shrunk = in_steps(
          open, [](Change& change) { return change.shrink(change.totals().limits, kMostEvicted); });
      !shrunk) {
    return std::unexpected(shrunk.error());
  }
  const auto totals = open.totals();
  if (!totals) return std::unexpected(totals.error());
  repaired.kept = totals->entries;
  repaired.unsure = std::min(repaired.unsure, repaired.kept);
  std::uint64_t freed = 0;
  if (auto orphans = remove_orphans(open, freed); !orphans) {
    return std::unexpected(orphans.error());
  }
  return repaired;
}

}  // namespace sluice::localcache
