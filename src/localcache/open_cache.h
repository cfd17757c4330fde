// OpenCache: what the operations of a Cache share.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "localcache/cache.h"
#include "localcache/content.h"
#include "localcache/files.h"
#include "localcache/statistics.h"
#include "localcache/table.h"
#include "localcache/value_file.h"
#include "sqlite/database.h"

namespace sluice::localcache {

struct OpenCache {
  Location location;
  OpenOptions options;
  Descriptor users;
  // None: the namespace does not exist, and was opened for reading.
  std::unique_ptr<sqlite::Database> database;
  std::optional<Table> table;
  std::unique_ptr<Statistics> statistics;
  std::vector<std::string> notices;
  Codec codec;
  bool written = false;
  bool made = false;  // the namespace, by this
  // Where a change that frees something finds its room, on a disk that is full: see Purpose.
  enum class Room : std::uint8_t { usual, log, reserve };
  Room room = Room::usual;
  // See open_still: of the database, and of its log.
  struct Moment {
    std::int64_t changed = 0;  // nanoseconds since 1970
    std::uint64_t size = 0;
    std::uint64_t file = 0;
    bool operator==(const Moment&) const = default;
  };
  std::array<Moment, 2> moments{};

  [[nodiscard]] std::int64_t now() const;
  [[nodiscard]] std::string value_path(std::string_view name) const {
    return location.values() + "/" + std::string(name);
  }
  // How many entries a transaction deletes that may delete `most`: fewer on a full disk.
  [[nodiscard]] std::size_t step(std::size_t most) const {
    constexpr std::size_t kOnFullDisk = 8;
    return room == Room::usual ? most : std::min(most, kOnFullDisk);
  }
  [[nodiscard]] unsigned file_mode() const { return location.for_group ? 0660 : 0600; }
  void count(Counter counter, std::uint64_t times = 1) const {
    if (statistics != nullptr && times > 0) statistics->add(counter, times);
  }
  // The totals; with the limits that this one was opened with, if nobody has set any.
  [[nodiscard]] Result<Totals> totals();
  // The same error, where the database is damaged with the sentence that helps.
  [[nodiscard]] Error explain(Error error) const;
};

struct Cache::State {
  std::unique_ptr<OpenCache> open;
};

// Refuses a link or a pipe in the place of a database: in a folder that a group shares, somebody
// else may have put it there.
Result<> check_is_file(const std::string& path);
// Whether the database is gone or empty, and its log is not: SQLite would take it for a new one and
// throw away what the log holds.
bool lost_all_but_its_log(const std::string& database);

// SQLite's room knows nothing of a repair, and gives advice of its own: the message without that.
[[nodiscard]] std::string without_advice(std::string message);

// Who uses a namespace locks the file `users`: shared as long as it is open, exclusively while it
// is repaired. Waits for `timeout`. Without a file system that locks, or a file, there is no lock.
Result<Descriptor> lock_users(const Location& location, RangeLock kind, bool make,
                              Milliseconds timeout);

Result<std::unique_ptr<OpenCache>> open_cache(const Location& location, const OpenOptions& options);

// Opens a namespace to read from its database file alone, as it is at this moment. Nothing: it is
// being written, or was a moment ago, or something else is not as it should be: open it as usual.
std::unique_ptr<OpenCache> open_still(const Location& location, const OpenOptions& options);
// Whether nothing was written since: then what was read is what was there.
bool is_still(const OpenCache& open);

// Refuses what was opened for reading.
Result<> check_changeable(const OpenCache& open);
// Refuses that, and a namespace that does not exist.
Result<> check_writable(const OpenCache& open);
// Checks that a key can be one.
Result<> check_key(std::string_view key);
// For messages: printable, and not too long.
std::string quoted(std::string_view key);

// The bits that tell entries apart that have the same id at different times.
std::uint32_t hit_check(std::string_view key);

// The entry of a row. Nothing when its file is gone, which happens when it is replaced meanwhile.
// `corrupt` if it is not what was stored.
Result<std::optional<Value>> read_value(OpenCache& open, const Row& row, std::string_view stored);

// Times an operation from now on.
class Timer {
 public:
  Timer(const OpenCache& open, Timed operation)
      : statistics_(open.options.timing ? open.statistics.get() : nullptr), operation_(operation) {
    if (statistics_ != nullptr) began_ = std::chrono::steady_clock::now();
  }
  ~Timer() {
    if (statistics_ != nullptr) {
      statistics_->record(operation_, std::chrono::steady_clock::now() - began_);
    }
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

 private:
  Statistics* statistics_;
  Timed operation_;
  std::chrono::steady_clock::time_point began_;
};

}  // namespace sluice::localcache
