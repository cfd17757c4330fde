#include "http/memory_budget.h"

namespace sluice::http {

namespace {

// Another loop cannot wake this one's waiters cheaply, so they look again: often enough for a body
// that takes longer than this to arrive anyway.
constexpr auto kLookAgain = std::chrono::milliseconds(10);

}  // namespace

bool MemoryBudget::try_cover(Lease& lease, std::uint64_t bytes) {
  if (bytes <= lease.bytes_ || bytes <= kSmall) return true;
  if (bytes > all_) return false;
  const auto more = static_cast<std::int64_t>(bytes - lease.bytes_);
  std::int64_t left = left_.load();
  do {
    if (left < more) return false;
  } while (!left_.compare_exchange_weak(left, left - more));
  lease.budget_ = this;
  lease.bytes_ = bytes;
  return true;
}

io::Task<bool> MemoryBudget::cover(Lease& lease, std::uint64_t bytes, io::Clock::time_point until) {
  const bool may_wait = lease.bytes_ == 0 && bytes <= all_;
  while (!try_cover(lease, bytes)) {
    if (!may_wait || io::Clock::now() >= until) co_return false;
    co_await io::sleep_for(kLookAgain);
  }
  co_return true;
}

}  // namespace sluice::http
