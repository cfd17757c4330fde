// What goes into the local cache and what comes out.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::localcache {

using TimePoint = std::chrono::system_clock::time_point;
using Milliseconds = std::chrono::milliseconds;

// Keys are any bytes but NUL, at least one of them.
inline constexpr std::size_t kLongestKey = 4096;
inline constexpr std::uint64_t kLargestValue = std::uint64_t{2} << 30;
inline constexpr std::size_t kMostTags = 64;
inline constexpr std::size_t kLongestTag = 256;
// Values of which no more than this is stored live in the database, others in files.
inline constexpr std::size_t kLargestInline = std::size_t{64} << 10;
// What a miss is taken to cost when nobody says: about a call to a service.
inline constexpr Milliseconds kUnknownCost{100};

struct SetOptions {
  std::optional<Milliseconds> ttl;  // none: it does not expire
  // Names by which `erase_all` deletes many entries at once. Any bytes but NUL.
  std::vector<std::string> tags;
  // What computing the value took: entries that cost more stay longer.
  Milliseconds cost = kUnknownCost;
};

// What an entry that was found is to who asks for it.
enum class Use : std::uint8_t { hit, stale_hit, miss };

class Value;

struct GetOptions {
  bool stale_ok = false;                // also an entry that has expired and is still there
  std::optional<Milliseconds> max_age;  // not one that was set longer ago
  bool counts = true;                   // as a use, and in the statistics
  // Reads the value that was found and says what it is to the caller, who does not get it again. A
  // miss is as if there were none. Without it, the expiry says what an entry is.
  std::function<Result<Use>(Value& value)> judge;
};

// What is known of an entry without its value.
struct EntryInfo {
  std::string key;
  std::uint64_t value_bytes = 0;  // as given
  TimePoint created;              // when it was set
  std::optional<TimePoint> expires;
  bool stale = false;  // it has expired
  TimePoint used;      // when it was read last, or set; as far as reads have been folded in
  std::uint64_t hits = 0;
  Milliseconds cost{};
  std::vector<std::string> tags;
};

// A value that was found. Its content has been checked: what comes out is what went in. A value in
// a file stays readable while this lives, also when the entry is replaced or deleted meanwhile.
class Value {
 public:
  // Gives out the content from the beginning on, a piece a call; empty at the end. The piece is
  // valid until the next call.
  class Source {
   public:
    virtual ~Source() = default;
    virtual Result<std::string_view> next() = 0;
  };

  Value() = default;
  explicit Value(std::string text) : size_(text.size()), text_(std::move(text)) {}
  Value(std::uint64_t size, std::unique_ptr<Source> source)
      : size_(size), source_(std::move(source)) {}

  [[nodiscard]] std::uint64_t size() const { return size_; }
  // The next piece, at most 1 MiB unless the value lay in the database; empty at the end. Valid
  // until the next call.
  Result<std::string_view> next();
  // Everything that is left. Memory for all of it: for values known to be small.
  Result<std::string> rest();

 private:
  std::uint64_t size_ = 0;
  std::string text_;
  bool given_ = false;
  std::unique_ptr<Source> source_;
};

struct Entry {
  EntryInfo info;
  Value value;
};

// Which entries are meant: those for which all that is set holds. Nothing set: all of them.
struct Selector {
  std::string prefix;
  std::optional<std::string> tag;
  std::function<bool(std::string_view key)> matches;
};

struct Limits {
  std::uint64_t max_bytes = 100'000'000;
  std::uint64_t max_entries = 0;  // 0: as many as max_bytes allows
  bool operator==(const Limits&) const = default;
};

struct Size {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;       // the lengths of keys and values as given: what the limit counts
  std::uint64_t disk_bytes = 0;  // what the database, its log and the value files take
  Limits limits;
};

// One step of a batch.
struct Operation {
  enum class Kind : std::uint8_t { get, set, erase };
  Kind kind = Kind::get;
  std::string_view key;
  std::string_view value;  // of a set
  SetOptions options;      // of a set
};

// The answer to one step. An error (a key that is too long, a value larger than the limit) belongs
// to this step alone; the others are done.
struct Answer {
  Result<> done;
  bool found = false;          // get: there is a value; erase: there was an entry
  std::optional<Entry> entry;  // of a get
};

}  // namespace sluice::localcache
