// Budget: what is known of one budget, alone or together with other processes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "flow/quota.h"
#include "flow/send_log.h"

namespace sluice::flow {

// The log of sends, the end of the last Retry-After, and the quota that the service has told. A
// shared one lives in a small mapped file that every process of the user maps which spends the same
// budget: together they stay under it, and what one is told holds for all.
//
// Nothing is locked after it was opened, and nothing is kept that only a living process could take
// back: one that is killed blocks nobody for longer than SendLog::patience.
//
// A Budget belongs to one loop; several in one process may map the same file.
class Budget {
 public:
  // Shared with nobody. Throws std::bad_alloc.
  Budget();
  // The one that all users of the same `folder` and `key` share. The file's name is a hash of the
  // key; the key itself is stored nowhere. The folder is made if need be; folder and file must
  // belong to this user and nobody else may have access: if not, or if they cannot be used for
  // another reason, it is an error that says why. A file from before the machine was started, or a
  // damaged one, is begun anew. Blocks for a second at most.
  static Result<std::unique_ptr<Budget>> share(const std::string& folder, std::string_view key);

  // Where processes of this user meet: a folder in `runtime` ($XDG_RUNTIME_DIR), if that is an
  // absolute path of a folder of his own, or else one in `temporary` ($TMPDIR; empty: /tmp).
  static std::string folder(const std::string& runtime, const std::string& temporary);

  ~Budget();
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  [[nodiscard]] SendLog& log() { return log_; }

  // Nothing is sent before this moment; never moved to the front.
  [[nodiscard]] TimePoint closed_until() const;
  void close_until(TimePoint when);

  // What the service told last, to anybody, if that is not long ago: services change their quotas.
  // Empty: nothing.
  [[nodiscard]] Quotas learned(TimePoint now) const;
  void learn(const Quotas& quotas, TimePoint now);
  static constexpr Duration learned_lasts = std::chrono::hours(1);

  // When each of the token buckets (see Allowance) is full again.
  static constexpr std::size_t buckets = 8;
  [[nodiscard]] TimePoint bucket_full_at(std::size_t bucket) const;
  // False: somebody else has moved it meanwhile; `expected` is then what it is now.
  [[nodiscard]] bool set_bucket(std::size_t bucket, TimePoint& expected, TimePoint full_at);

  // The content of the file.
  struct Memory;

 private:
  explicit Budget(Memory& memory);

  Memory* memory_;
  SendLog log_;
};

}  // namespace sluice::flow
