#include "localcache/open_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <thread>

#include "base/shell.h"
#include "localcache/reserve.h"
#include "localcache/schema.h"
#include "sqlite/format.h"

namespace sluice::localcache {

namespace {

// How long the log gets before it is moved into the database: 4 MB. More of it would make that
// rarer, and the waits for it longer.
constexpr int kLogPages = 512;

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

bool has_log(const std::string& database) {
  struct stat status{};
  return ::stat((database + "-wal").c_str(), &status) == 0 && status.st_size > 0;
}

bool has_rollback_journal(const std::string& database) {
  return exists(database + "-journal");
}

Result<sqlite::Database> open_to_read(const Location& location, const OpenOptions& options) {
  if (auto checked = check_is_file(location.database()); !checked) {
    return std::unexpected(checked.error());
  }
  sqlite::OpenOptions how{
      .access = sqlite::Access::read_only, .busy_timeout = options.busy_timeout, .keep_log = true};
  const auto open = [&]() -> Result<sqlite::Database> {
    auto database = sqlite::Database::open(location.database(), how);
    if (!database) return database;
    if (auto checked = sqlite::check(*database, kCacheFormat); !checked) {
      return std::unexpected(checked.error());
    }
    return database;
  };
  auto database = open();
  // SQLite keeps account of readers in a file beside the log. Where it cannot be made, nobody
  // writes either (whoever writes leaves both files there), so that nothing changes under us.
  if (!database && database.error().code == ErrorCode::io && !has_log(location.database()) &&
      ::access(location.folder().c_str(), W_OK) != 0) {
    how.immutable = true;
    database = open();
  }
  return database;
}

Result<sqlite::Database> open_to_write(const Location& location, const OpenOptions& options,
                                       unsigned mode) {
  const std::string path = location.database();
  if (auto checked = check_is_file(path); !checked) return std::unexpected(checked.error());
  if (!exists(path) && !open_file(path, O_WRONLY | O_CREAT, mode)) {
    return std::unexpected(system_error(errno, fmt::format("make {}", path)));
  }
  auto database = sqlite::Database::open(path, {.access = sqlite::Access::read_write,
                                                .busy_timeout = options.busy_timeout,
                                                .keep_log = true});
  if (!database) return database;
  const auto journal =
      on_network_file_system(path) ? sqlite::Journal::rollback : sqlite::Journal::log;
  if (auto adopted = sqlite::adopt(*database, kCacheFormat, journal); !adopted) {
    return std::unexpected(adopted.error());
  }
  // What was deleted need not be overwritten: it was readable for the same people before.
  const std::string_view sync = options.sync == Sync::off    ? "OFF"
                                : options.sync == Sync::full ? "FULL"
                                                             : "NORMAL";
  if (auto set =
          database->run(fmt::format("PRAGMA synchronous={}; PRAGMA secure_delete=OFF; "
                                    "PRAGMA wal_autocheckpoint={}; PRAGMA journal_size_limit={}",
                                    sync, kLogPages, kLogPages * kCacheFormat.page_size));
      !set) {
    return std::unexpected(set.error());
  }
  return database;
}

void open_statistics(OpenCache& open) {
  // Memory is shared by the processes of one machine.
  if (on_network_file_system(open.location.folder())) return;
  auto opened = Statistics::open(open.location.statistics(), open.file_mode());
  if (!opened) return;  // nothing is counted where nothing can be written
  open.statistics = std::move(opened->statistics);
  if (opened->replaced) {
    open.notices.push_back(
        fmt::format("the statistics in {} were damaged or of another version, and were begun anew.",
                    open.location.statistics()));
  }
}

}  // namespace

std::int64_t OpenCache::now() const {
  return to_milliseconds(options.now ? options.now() : std::chrono::system_clock::now());
}

Result<Totals> OpenCache::totals() {
  auto totals = table->totals();
  if (totals && totals->limits.max_bytes == 0) totals->limits = options.limits;
  return totals;
}

Result<> check_is_file(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode)) return {};
  return fail(ErrorCode::io, "{} is not a regular file, and is left alone. Remove it.", path);
}

bool lost_all_but_its_log(const std::string& database) {
  // The log is looked at first: who makes a database writes its first page before there is a log.
  if (!has_log(database)) return false;
  struct stat status{};
  if (::stat(database.c_str(), &status) != 0) return errno == ENOENT;
  return status.st_size == 0;
}

std::string without_advice(std::string message) {
  for (const std::string_view advice : {" Restore it from", " Name another file"}) {
    message.resize(std::min(message.rfind(advice), message.size()));
  }
  return message;
}

Error OpenCache::explain(Error error) const {
  if (error.code != ErrorCode::corrupt) {
    const std::size_t length = error.message.size();
    error.message = without_advice(std::move(error.message));
    if (error.message.size() < length) error.message += " Move it away, or name another namespace.";
    return error;
  }
  error.message = without_advice(std::move(error.message));
  const std::string folder =
      location.for_group ? fmt::format(" --dir {}", shell_quoted(location.root)) : std::string();
  error.message +=
      fmt::format(" Run `sluice cache repair{} --ns {}`: it brings back all that is intact.",
                  folder, shell_quoted(location.name));
  return error;
}

Result<Descriptor> lock_users(const Location& location, RangeLock kind, bool make,
                              Milliseconds timeout) {
  const unsigned mode = location.for_group ? 0660 : 0600;
  // A pipe in its place is not waited for.
  Descriptor file = make ? open_file(location.users(), O_RDWR | O_CREAT | O_NONBLOCK, mode)
                         : open_file(location.users(), O_RDONLY | O_NONBLOCK);
  if (!file) {
    if (!make) return file;
    return std::unexpected(system_error(errno, fmt::format("make {}", location.users())));
  }
  const auto give_up = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto locked = try_lock(file.get(), kind);
    if (!locked && locked.error().code != ErrorCode::unsupported) {
      return std::unexpected(locked.error());
    }
    if (!locked || *locked) return file;
    if (std::chrono::steady_clock::now() >= give_up) {
      return fail(ErrorCode::conflict, Retry::again,
                  "the cache namespace {} is {}. Try again later.", location.name,
                  kind == RangeLock::exclusive
                      ? "in use by other processes, and a repair needs it alone"
                      : "being repaired by another process");
    }
    std::this_thread::sleep_for(Milliseconds(5));
  }
}

Result<std::unique_ptr<OpenCache>> open_cache(const Location& location,
                                              const OpenOptions& options) {
  if (auto checked = check_namespace(location.name); !checked) {
    return std::unexpected(checked.error());
  }
  if (options.limits.max_bytes == 0) {
    return fail(ErrorCode::invalid_argument, "a cache of 0 bytes holds nothing. Name a size.");
  }
  const bool writes = options.access != Access::read;
  const bool is_there = exists(location.database()) || has_log(location.database());
  auto open = std::make_unique<OpenCache>();
  open->location = location;
  open->options = options;
  const auto repair_was_cut_off = [&] {
    return !exists(location.database()) && exists(location.repaired_database());
  };
  if (options.access == Access::change && !is_there && !repair_was_cut_off()) return open;
  open->made = writes && !is_there;
  if (writes) {
    if (auto made = make_folders(location); !made) return std::unexpected(made.error());
  }
  if (auto checked = check_readable(location); !checked) return std::unexpected(checked.error());
  // In a folder that a group shares, anybody in it may have put a pipe there, to wait at.
  for (const char* const ending : {"-wal", "-shm", "-journal"}) {
    if (!location.for_group) break;
    if (auto checked = check_is_file(location.database() + ending); !checked) {
      return std::unexpected(checked.error());
    }
  }
  auto users = lock_users(location, RangeLock::shared, writes, options.busy_timeout);
  if (!users) return std::unexpected(users.error());
  open->users = std::move(*users);
  if (repair_was_cut_off()) {
    return std::unexpected(open->explain(
        {ErrorCode::corrupt, Retry::fatal, std::nullopt,
         fmt::format("a repair of {} was cut off before its end.", location.database())}));
  }

  if (lost_all_but_its_log(location.database())) {
    return std::unexpected(open->explain(
        {ErrorCode::corrupt, Retry::fatal, std::nullopt,
         fmt::format("the database {} is gone, and its log is not.", location.database())}));
  }

  auto database = writes ? open_to_write(location, options, open->file_mode())
                         : open_to_read(location, options);
  // Opening takes some room, too, if the files beside the database have gone.
  if (!database && writes && database.error().code == ErrorCode::no_space &&
      release_reserve(location)) {
    database = open_to_write(location, options, open->file_mode());
    open->room = OpenCache::Room::reserve;
  }
  if (!database) {
    if (!writes && database.error().code == ErrorCode::not_found) return open;
    return std::unexpected(open->explain(std::move(database.error())));
  }
  open->database = std::make_unique<sqlite::Database>(std::move(*database));
  open->table.emplace(*open->database);
  open_statistics(*open);
  if (open->made) keep_reserve(location);
  return open;
}

namespace {

std::array<OpenCache::Moment, 2> look_at(const Location& location) {
  const std::string path = location.database();
  std::array<OpenCache::Moment, 2> moments{};
  for (std::size_t i = 0; i < 2; ++i) {
    struct stat status{};
    // A log that is not there is like one that is empty.
    if (::lstat((i == 0 ? path : path + "-wal").c_str(), &status) != 0) continue;
    if (!S_ISREG(status.st_mode)) continue;
    moments[i] = {
        .changed = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec,
        .size = static_cast<std::uint64_t>(status.st_size),
        .file = status.st_ino};
  }
  return moments;
}

}  // namespace

std::unique_ptr<OpenCache> open_still(const Location& location, const OpenOptions& options) {
  // A change shows in the times of files, which the kernel's clock sets: one in the same tick of it
  // (4 ms, at most 10) would not. So the last one has to lie further back.
  constexpr std::int64_t kTick = 50'000'000;
  auto open = std::make_unique<OpenCache>();
  open->location = location;
  open->options = options;
  open->moments = look_at(location);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t late = std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec - kTick;
  const auto& [database_moment, log_moment] = open->moments;
  if (!check_readable(location)) return nullptr;  // refused by who opens it as usual
  // Other machines' changes show late.
  if (on_network_file_system(location.folder())) return nullptr;
  if (database_moment.file == 0 || log_moment.size != 0 || database_moment.changed > late ||
      log_moment.changed > late || has_rollback_journal(location.database())) {
    return nullptr;
  }
  auto database = sqlite::Database::open(
      location.database(),
      {.access = sqlite::Access::read_only, .immutable = true, .cache_kib = 64});
  if (!database || !sqlite::check(*database, kCacheFormat)) return nullptr;
  open->database = std::make_unique<sqlite::Database>(std::move(*database));
  open->table.emplace(*open->database);
  open_statistics(*open);
  return open;
}

bool is_still(const OpenCache& open) {
  return look_at(open.location) == open.moments;
}

Result<> check_changeable(const OpenCache& open) {
  if (open.options.access != Access::read) return {};
  return fail(ErrorCode::invalid_argument, "the cache namespace {} is open for reading only.",
              open.location.name);
}

Result<> check_writable(const OpenCache& open) {
  if (auto checked = check_changeable(open); !checked || open.table) return checked;
  return fail(ErrorCode::not_found, "there is no cache namespace {}.", open.location.name);
}

Result<> check_key(std::string_view key) {
  if (key.empty()) return fail(ErrorCode::invalid_argument, "a cache key is empty. Name one.");
  if (key.size() > kLongestKey) {
    return fail(ErrorCode::invalid_argument,
                "a cache key has {} bytes, and {} are the most. Use a hash of it.", key.size(),
                kLongestKey);
  }
  if (key.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::invalid_argument, "a cache key holds a NUL. Use one without.");
  }
  return {};
}

std::string quoted(std::string_view key) {
  constexpr std::size_t kShown = 80;
  std::string text = "\"";
  for (const char c : key.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f || c == '"' || c == '\\') {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  if (key.size() > kShown) text += "…";
  return text + '"';
}

std::uint32_t hit_check(std::string_view key) {
  return static_cast<std::uint32_t>(content_hash(key));
}

Result<std::optional<Value>> read_value(OpenCache& open, const Row& row, std::string_view stored) {
  const auto damaged = [&] {
    return fail(ErrorCode::corrupt, "the entry {} in {} is damaged: its checksum does not fit.",
                quoted(row.key), open.location.database());
  };
  if (row.in_file()) {
    return read_value_file(open.location.values(), row.file, [&](const ValueFileHeader& header) {
      return header.form == row.form && header.value_bytes == row.value_bytes &&
             entry_checksum(row.sealed(), header.stored_hash) == row.checksum;
    });
  }
  if (entry_checksum(row.sealed(), content_hash(stored)) != row.checksum) return damaged();
  if ((row.form & Form::compressed) != 0) {
    auto value = open.codec.decompress(stored, row.value_bytes);
    if (!value) return damaged();
    return Value(std::move(*value));
  }
  if (stored.size() != row.value_bytes) return damaged();
  return Value(std::string(stored));
}

}  // namespace sluice::localcache
