#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <optional>
#include <utility>

#include "localcache/maintenance.h"
#include "localcache/schema.h"
#include "sqlite/format.h"

namespace sluice::localcache {

namespace {

bool is_corrupt(const Error& error) {
  return error.code == ErrorCode::corrupt;
}

// Reads the rows of a damaged table as far as they can be reached, in the order of their ids.
class Salvage {
 public:
  using Take = std::function<Result<>(const Row& row, std::string_view stored)>;
  Salvage(Table& table, Take take) : table_(table), take_(std::move(take)) {}

  Result<> run() {
    std::int64_t from = 0;
    for (;;) {
      Result<> taken;
      auto scanned = table_.scan(from, [&](const Row& row, std::string_view stored) {
        from = row.id + 1;
        taken = take_(row, stored);
        return taken.has_value();
      });
      if (!taken) return taken;
      if (scanned) return {};
      if (!is_corrupt(scanned.error())) return scanned;
      const auto next = next_readable(from);
      if (!next) return std::unexpected(next.error());
      if (!*next) return {};
      from = **next;
    }
  }

 private:
  // Whether a row can be read from `id` on, or the end.
  Result<bool> readable(std::int64_t id) {
    const auto scanned = table_.scan(id, [](const Row&, std::string_view) { return false; });
    if (scanned) return true;
    if (is_corrupt(scanned.error())) return false;
    return std::unexpected(scanned.error());
  }

  // The least id behind a damaged page, which holds rows of ids beside each other: in steps that
  // double, and then by halves. Nothing: there is none.
  Result<std::optional<std::int64_t>> next_readable(std::int64_t damaged) {
    constexpr std::int64_t kLastStep = std::int64_t{1} << 40;
    std::int64_t low = damaged;
    std::int64_t high = 0;
    for (std::int64_t step = 1;; step *= 2) {
      if (step > kLastStep) return std::nullopt;
      high = damaged + step;
      const auto can = readable(high);
      if (!can) return std::unexpected(can.error());
      if (*can) break;
      low = high;
    }
    while (high - low > 1) {
      const std::int64_t middle = low + (high - low) / 2;
      const auto can = readable(middle);
      if (!can) return std::unexpected(can.error());
      (*can ? high : low) = middle;
    }
    return high;
  }

  Table& table_;
  Take take_;
};

// Whether the file is a cache of ours whose structure is whole. Refuses foreign and newer ones.
Result<bool> is_whole(const std::string& path, const OpenOptions& options) {
  auto database = sqlite::Database::open(
      path, {.access = sqlite::Access::read_write, .busy_timeout = options.busy_timeout});
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

// Moves what can be read of the damaged database into a new one at `path`.
Result<> rebuild(const Location& location, const OpenOptions& options, const std::string& path,
                 Repaired& repaired) {
  ::unlink(path.c_str());
  if (!open_file(path, O_WRONLY | O_CREAT, location.for_group ? 0660 : 0600)) {
    return std::unexpected(system_error(errno, fmt::format("make {}", path)));
  }
  // Not kept until it is complete: a power cut leaves the damaged one as it was.
  auto made = sqlite::Database::open(path, {.access = sqlite::Access::read_write});
  if (!made) return std::unexpected(made.error());
  if (auto adopted = sqlite::adopt(*made, kCacheFormat, sqlite::Journal::rollback); !adopted) {
    return adopted;
  }
  Table target(*made);
  auto totals = target.totals();
  if (!totals) return std::unexpected(totals.error());
  totals->limits = options.limits;

  OpenCache old;
  old.location = location;
  old.options = options;
  auto damaged = sqlite::Database::open(location.database(),
                                        {.access = sqlite::Access::read_only, .keep_log = true});
  if (!damaged && !is_corrupt(damaged.error())) return std::unexpected(damaged.error());
  auto transaction = sqlite::Transaction::begin(*made);
  if (!transaction) return std::unexpected(transaction.error());
  Result<> done;
  if (damaged) {
    old.database = std::make_unique<sqlite::Database>(std::move(*damaged));
    old.table.emplace(*old.database);
    if (const auto known = old.table->totals(); known && std::isfinite(known->inflation)) {
      totals->limits = known->limits;
      totals->inflation = known->inflation;
    }
    done = Salvage(*old.table, [&](const Row& row, std::string_view stored) -> Result<> {
             const auto value = read_value(old, row, stored);
             const auto there = value && *value ? target.find(row.key) : std::nullopt;
             if (!there) return std::unexpected(there.error());
             if (!value || !*value || *there || !std::isfinite(row.priority)) {
               ++repaired.dropped;
               return {};
             }
             Row copy = row;
             copy.id = 0;
             if (auto inserted = target.insert(copy, stored); !inserted) return inserted;
             ++totals->entries;
             totals->bytes += row.bytes();
             totals->file_bytes += row.file_bytes;
             return target.add_tags(copy.id, copy.tags);
           }).run();
    // A table that cannot be found at all leaves nothing to be saved.
    if (!done && is_corrupt(done.error())) done = {};
    old.table.reset();
  }
  if (done) done = target.set_totals(*totals);
  if (done) done = transaction->commit();
  repaired.kept = totals->entries;
  return done;
}

// Puts the new database in the place of the damaged one, which is kept under another name.
Result<> replace(const std::string& path, const std::string& with, const std::string& saved_as) {
  const auto failed = [&](std::string_view doing) {
    return std::unexpected(system_error(errno, fmt::format("{} {}", doing, path)));
  };
  if (::link(path.c_str(), saved_as.c_str()) != 0) return failed("keep");
  // The log belongs to the damaged one, and must never be applied to the new one.
  if (::rename((path + "-wal").c_str(), (saved_as + "-wal").c_str()) != 0 && errno != ENOENT) {
    return failed("keep the log of");
  }
  if (::unlink((path + "-shm").c_str()) != 0 && errno != ENOENT) return failed("replace");
  if (::rename(with.c_str(), path.c_str()) != 0) return failed("replace");
  return {};
}

}  // namespace

Result<Repaired> Cache::repair(const Location& location, const OpenOptions& options) {
  if (auto checked = check_namespace(location.name); !checked) {
    return std::unexpected(checked.error());
  }
  const std::string path = location.database();
  Repaired repaired;
  if (::access(path.c_str(), F_OK) != 0) return repaired;
  if (auto made = make_folders(location); !made) return std::unexpected(made.error());
  const auto users = lock_users(location, RangeLock::exclusive, true, options.busy_timeout);
  if (!users) return std::unexpected(users.error());

  const auto whole = is_whole(path, options);
  if (!whole) return std::unexpected(whole.error());
  if (!*whole) {
    const std::string made = path + ".repair";
    repaired.saved_as = fmt::format("{}.damaged-{}", path, random_name());
    repaired.rebuilt = true;
    if (auto rebuilt = rebuild(location, options, made, repaired); !rebuilt) {
      return std::unexpected(rebuilt.error());
    }
    if (auto replaced = replace(path, made, repaired.saved_as); !replaced) {
      return std::unexpected(replaced.error());
    }
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
  std::uint64_t freed = 0;
  if (auto orphans = remove_orphans(open, freed); !orphans) {
    return std::unexpected(orphans.error());
  }
  return repaired;
}

}  // namespace sluice::localcache
