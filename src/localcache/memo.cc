#include "localcache/memo.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "localcache/files.h"
#include "localcache/lock_place.h"
#include "localcache/table.h"

namespace sluice::localcache {

namespace {

// A stored result: this, the command, stdout, stderr. Numbers are little-endian, times Unix
// milliseconds.
struct Header {
  std::array<char, 8> magic = {'S', 'L', 'C', 'M', 'E', 'M', 'O', '2'};
  std::int64_t exit_code = 0;
  std::int64_t took = 0;
  std::int64_t ran_at = 0;
  std::int64_t ttl = 0;
  std::int64_t stale = 0;
  std::uint64_t command = 0;
  std::uint64_t output = 0;
  std::uint64_t errors = 0;
};
static_assert(sizeof(Header) == 72);

// Parts of a key, each with its length before it, so that no two lists of parts look the same.
class KeyHash {
 public:
  KeyHash() { XXH3_128bits_reset(&state_); }
  void number(std::uint64_t number) { XXH3_128bits_update(&state_, &number, sizeof number); }
  void text(std::string_view text) {
    number(text.size());
    XXH3_128bits_update(&state_, text.data(), text.size());
  }
  [[nodiscard]] std::string key() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(&state_);
    return fmt::format("{}{:016x}{:016x}", kMemoPrefix, hash.high64, hash.low64);
  }

 private:
  XXH3_state_t state_;
};

Result<std::uint64_t> hash_file(const std::string& path) {
  // Not O_NOFOLLOW: the file is the user's. A pipe is not waited for.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return fail(ErrorCode::not_found, "there is no file {}.", path);
    }
    return std::unexpected(system_error(errno, fmt::format("open {}", path)));
  }
  struct stat status{};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return fail(ErrorCode::invalid_argument,
                "{} is not a regular file, so that its content cannot be part of a key. Name a "
                "file.",
                path);
  }
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  std::string piece(std::size_t{256} << 10, '\0');
  for (;;) {
    const auto got = read_full(file.get(), path, piece.data(), piece.size());
    if (!got) return std::unexpected(got.error());
    if (*got == 0) return XXH3_64bits_digest(&state);
    XXH3_64bits_update(&state, piece.data(), *got);
  }
}

std::string lock_name(std::string_view key) {
  return fmt::format("memo:{}", key);
}

// Whether the last runner has ended without a result for those who waited: eight bytes in the file
// of the lock, where the lock keeps nothing. The file is there as long as somebody waits in it.
class UnsharedMark {
 public:
  UnsharedMark(const Location& location, std::string_view key) {
    const auto place = lock_place(location, lock_name(key));
    if (!place) return;
    path_ = (*place)->path;
    file_ = (*place)->open(0);
  }

  [[nodiscard]] bool is_set() const {
    std::string bytes(kText.size(), '\0');
    return file_ &&
           ::pread(file_.get(), bytes.data(), bytes.size(), kAt) ==
               static_cast<ssize_t>(bytes.size()) &&
           bytes == kText;
  }
  // Where it cannot be written, those who wait run one after another.
  void set() const {
    if (file_) static_cast<void>(write_all_at(file_.get(), path_, kText, kAt));
  }
  void clear() const {
    if (is_set()) {
      static_cast<void>(write_all_at(file_.get(), path_, std::string(kText.size(), '\0'), kAt));
    }
  }

 private:
  static constexpr std::string_view kText = "UNSHARED";
  static constexpr off_t kAt = 16;  // see ticket.h
  std::string path_;
  Descriptor file_;
};

}  // namespace

Result<std::string> memo_key(const MemoInput& input) {
  KeyHash hash;
  hash.number(input.arguments.size());
  for (const std::string& argument : input.arguments) hash.text(argument);
  hash.text(input.working_directory);
  hash.number(input.environment.size());
  for (const auto& [name, value] : input.environment) {
    hash.text(name);
    hash.number(value ? 1 : 0);
    hash.text(value.value_or(""));
  }
  hash.number(input.files.size());
  for (const std::string& path : input.files) {
    const auto content = hash_file(path);
    if (!content && content.error().code != ErrorCode::not_found) {
      return std::unexpected(content.error());
    }
    hash.text(path);
    hash.number(content ? 1 : 0);
    hash.number(content ? *content : 0);
  }
  return hash.key();
}

std::string encode(const MemoResult& result) {
  const Header header{
      .exit_code = result.exit_code,
      .took = result.took.count(),
      .ran_at = std::chrono::floor<Milliseconds>(result.ran_at.time_since_epoch()).count(),
      .ttl = result.ttl.count(),
      .stale = result.stale.count(),
      .command = result.command.size(),
      .output = result.output.size(),
      .errors = result.errors.size()};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += result.command;
  bytes += result.output;
  bytes += result.errors;
  return bytes;
}

Result<MemoResult> decode_memo(std::string_view bytes) {
  Header header;
  const auto magic = header.magic;
  const auto refuse = [] {
    return fail(ErrorCode::corrupt, "this is not the stored result of a command.");
  };
  if (bytes.size() < sizeof header) return refuse();
  std::memcpy(&header, bytes.data(), sizeof header);
  bytes.remove_prefix(sizeof header);
  if (header.magic != magic || header.command > bytes.size() ||
      header.output > bytes.size() - header.command ||
      header.errors != bytes.size() - header.command - header.output ||
      header.exit_code < std::numeric_limits<int>::min() ||
      header.exit_code > std::numeric_limits<int>::max()) {
    return refuse();
  }
  for (const std::int64_t time : {header.took, header.ran_at, header.ttl, header.stale}) {
    if (time < 0 || time > kLatestTime) return refuse();
  }
  return MemoResult{.exit_code = static_cast<int>(header.exit_code),
                    .output = std::string(bytes.substr(header.command, header.output)),
                    .errors = std::string(bytes.substr(header.command + header.output)),
                    .took = Milliseconds(header.took),
                    .ran_at = TimePoint(Milliseconds(header.ran_at)),
                    .command = std::string(bytes.substr(0, header.command)),
                    .ttl = Milliseconds(header.ttl),
                    .stale = Milliseconds(header.stale)};
}

std::optional<std::string> memo_command(std::string_view beginning) {
  Header header;
  const auto magic = header.magic;
  if (beginning.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, beginning.data(), sizeof header);
  beginning.remove_prefix(sizeof header);
  if (header.magic != magic || header.command > beginning.size()) return std::nullopt;
  return std::string(beginning.substr(0, header.command));
}

Freshness freshness(const MemoResult& result, TimePoint now, const Patience& patience) {
  constexpr Milliseconds kClockSlack{2000};
  if (result.ran_at > now + kClockSlack) return Freshness::expired;
  const auto age = std::chrono::floor<Milliseconds>(now - result.ran_at);
  const Milliseconds fresh = std::min(result.ttl, patience.ttl);
  if (age < fresh) return Freshness::fresh;
  if (age - result.ttl >= result.stale) return Freshness::expired;
  return age - patience.ttl < patience.stale ? Freshness::stale : Freshness::expired;
}

Memo::Memo(Cache& cache, MemoOptions options) : cache_(cache), options_(std::move(options)) {
  options_.ttl = std::clamp(options_.ttl, Milliseconds(0), Milliseconds(kLatestTime));
  options_.stale = std::clamp(options_.stale, Milliseconds(0), Milliseconds(kLatestTime));
}

GetOptions Memo::looking(const Patience& patience, TimePoint now, std::optional<Found>& found) {
  return {.judge = [patience, now, &found](Value& value) -> Result<Use> {
    const auto bytes = value.rest();
    if (!bytes) return std::unexpected(bytes.error());
    auto result = decode_memo(*bytes);
    if (!result) return Use::miss;  // somebody stored something else there
    const Freshness how = freshness(*result, now, patience);
    if (how == Freshness::expired) return Use::miss;
    found = Found{std::move(*result), how};
    return how == Freshness::stale ? Use::stale_hit : Use::hit;
  }};
}

std::optional<MemoResult> Memo::fresh(std::string_view key, std::optional<Error>& damaged,
                                      bool counts) {
  std::optional<Found> found;
  // What is stale by now is no use to who is about to compute it.
  const Patience patience{.ttl = options_.ttl, .stale = Milliseconds(0)};
  GetOptions look = looking(patience, cache_.now(), found);
  look.counts = counts;
  const auto entry = cache_.get(key, look);
  if (!entry) {
    damaged = entry.error();
    return std::nullopt;
  }
  damaged.reset();
  if (!found || found->freshness != Freshness::fresh) return std::nullopt;
  return std::move(found->result);
}

Result<Memo::Got> Memo::get(std::string_view key, const Run& run) {
  std::optional<Error> damaged;
  if ((options_.ttl + options_.stale).count() == 0) {
    if (options_.counts) static_cast<void>(fresh(key, damaged, true));
    return run_and_store(key, run);
  }
  const auto began = std::chrono::steady_clock::now();
  LockOptions how{.wait = options_.lock_wait,
                  .timeout = std::chrono::milliseconds(0),
                  .command = options_.command};
  const auto with_damage = [&](Result<Got> got) {
    if (!damaged) return got;
    // What was not replaced would be found again.
    if (damaged->code == ErrorCode::corrupt && !(got && got->stored)) {
      static_cast<void>(cache_.erase(key));
    }
    if (got) got->damaged = std::move(damaged);
    return got;
  };
  // First whether anybody is at it; then wait beside all others for that to end; and if there is no
  // result then, in the queue of those who might become the runner.
  enum class Attempt : std::uint8_t { at_once, beside, in_turn };
  for (const Attempt attempt : {Attempt::at_once, Attempt::beside, Attempt::in_turn}) {
    const bool counts = options_.counts && attempt == Attempt::at_once;
    if (auto result = fresh(key, damaged, counts)) return Got{.result = std::move(*result)};
    how.mode = attempt == Attempt::beside ? LockMode::shared : LockMode::exclusive;
    if (attempt != Attempt::at_once) {
      const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(
          std::chrono::steady_clock::now() - began);
      how.timeout =
          options_.wait
              ? std::optional(std::max(*options_.wait - spent, std::chrono::milliseconds(0)))
              : std::nullopt;
    }
    // Opened before the wait: those who do not wait in the kernel keep no place in the file, which
    // goes away with the runner then.
    std::optional<UnsharedMark> mark;
    if (attempt != Attempt::at_once) mark.emplace(cache_.location(), key);
    std::optional<Lock> lock;
    if (auto taken = Lock::take(cache_.location(), lock_name(key), how)) {
      lock.emplace(std::move(*taken));
    } else if (attempt == Attempt::at_once && taken.error().code == ErrorCode::timeout) {
      continue;
    } else {
      return std::unexpected(taken.error());
    }
    // Somebody may have finished between the look and the lock.
    if (auto result = fresh(key, damaged, false)) return Got{.result = std::move(*result)};
    if (mark && mark->is_set()) {
      lock.reset();
      return with_damage(run_and_store(key, run));
    }
    if (attempt != Attempt::beside) return with_damage(run_alone(key, run));
  }
  return fail(ErrorCode::timeout, "the result of {} was not to be had.", key);
}

Result<std::optional<Memo::Got>> Memo::refresh(std::string_view key, const Run& run) {
  const auto lock = Lock::take(cache_.location(), lock_name(key),
                               {.wait = options_.lock_wait,
                                .timeout = std::chrono::milliseconds(0),
                                .command = options_.command});
  if (!lock) {
    if (lock.error().code == ErrorCode::timeout) return std::nullopt;
    return std::unexpected(lock.error());
  }
  std::optional<Error> damaged;
  if (fresh(key, damaged, false)) return std::nullopt;
  auto got = run_alone(key, run);
  if (!got) return std::unexpected(got.error());
  got->damaged = std::move(damaged);
  return std::move(*got);
}

Result<Memo::Got> Memo::run_alone(std::string_view key, const Run& run) {
  const UnsharedMark mark(cache_.location(), key);
  mark.clear();
  auto got = run_and_store(key, run);
  const bool cut_short = !got && (got.error().code == ErrorCode::interrupted ||
                                  got.error().code == ErrorCode::deadline);
  if (!cut_short && (!got || !got->stored)) mark.set();
  return got;
}

Result<Memo::Got> Memo::run_and_store(std::string_view key, const Run& run) {
  auto result = run();
  if (!result) return std::unexpected(result.error());
  result->ran_at = cache_.now();
  result->command = options_.command;
  result->ttl = options_.ttl;
  result->stale = options_.stale;
  Got got{.result = std::move(*result), .ran = true};
  const Milliseconds lasts = options_.ttl + options_.stale;
  if ((got.result.exit_code != 0 && options_.discard_failures) || lasts.count() == 0) return got;
  const auto stored = cache_.set(
      key, encode(got.result),
      {.ttl = lasts, .tags = options_.tags, .cost = std::max(got.result.took, Milliseconds(1))});
  got.stored = stored.has_value();
  if (!stored) got.not_stored = stored.error();
  return got;
}

}  // namespace sluice::localcache
