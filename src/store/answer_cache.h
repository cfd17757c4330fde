// AnswerCache: what remote services have answered, kept in the local cache for a few minutes.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "io/task.h"
#include "io/worker.h"
#include "localcache/cache.h"
#include "telemetry/log.h"

namespace sluice::store {

// Two namespaces of the local cache: look-ups (the ids behind titles of namespaces and names of
// zones), and values of entries. Nothing here ever fails: what goes wrong with the cache is logged
// at debug, and the answer is "not known". Files and SQLite are used on a thread of its own, which
// begins when it is needed first.
//
// Keys are made with `digest`, so that they are short and hold no credentials. Belongs to one loop;
// a call that is under way keeps what it needs, but the cache has to outlive it.
class AnswerCache {
 public:
  enum class Kind : std::uint8_t { look_ups, values };
  // An answer: a few texts of any bytes.
  using Fields = std::vector<std::string>;

  struct Options {
    std::string root;  // of the local cache (localcache::default_root)
    // How old an answer may be. 0: nothing is kept or answered; what is there is still erased.
    std::chrono::milliseconds ttl = std::chrono::minutes(5);
    // Of each of the two, for all who use them from now on.
    localcache::Limits limits{.max_bytes = 50'000'000, .max_entries = 10'000};
    std::function<localcache::TimePoint()> now;  // for tests; none: the system's clock
  };

  AnswerCache(Options options, Log& log);

  [[nodiscard]] bool on() const { return options_.ttl.count() > 0; }
  [[nodiscard]] localcache::TimePoint now() const;

  // Whether the namespace exists: if not, there is nothing to erase. Costs one look at a file.
  [[nodiscard]] bool exists(Kind kind) const;

  // What is known under each of `keys`, in their order.
  io::Task<std::vector<std::optional<Fields>>> get(Kind kind, std::vector<std::string> keys);

  struct Answer {
    std::string key;
    Fields fields;
    // The answer is worthless after this; the time of Options::ttl holds in any case.
    std::optional<std::chrono::milliseconds> valid{};
  };
  io::Task<> set(Kind kind, std::vector<Answer> answers);

  io::Task<> erase(Kind kind, std::vector<std::string> keys);
  // Everything under keys that begin with `prefix`.
  io::Task<> erase_all(Kind kind, std::string prefix);

 private:
  // On the worker's thread. Null: it cannot be had, or it does not exist and is not to be made.
  localcache::Cache* open(Kind kind, bool make);
  void note(Kind kind, std::string_view doing, const Error& error);
  [[nodiscard]] localcache::Location location(Kind kind) const;
  io::Worker& worker();

  struct Place {
    std::optional<localcache::Cache> cache;
    bool broken = false;   // it was told why
    bool limited = false;  // the limits hold
  };

  Options options_;
  Log& log_;
  std::array<Place, 2> places_;
  std::optional<io::Worker> worker_;
};

// The SHA-256 of texts, as 64 hexadecimal digits; of their lengths, too, so that what belongs to
// one cannot pass for the next. Credentials go into keys like this and not otherwise.
[[nodiscard]] std::string digest(std::span<const std::string_view> texts);

// One text that holds others, and back. Nothing if it was not made by `pack`.
[[nodiscard]] std::string pack(std::span<const std::string> fields);
[[nodiscard]] std::optional<std::vector<std::string>> unpack(std::string_view text);

}  // namespace sluice::store
