// ByteBudget: how much data may be held at once.
#pragma once

#include <algorithm>
#include <cstddef>

#include "io/task.h"

namespace sluice::bulk {

// A semaphore over bytes. A claim larger than the whole budget is admitted alone. Waiters are
// served in no particular order. Belongs to one loop.
class ByteBudget {
 public:
  ByteBudget(io::Executor executor, std::size_t bytes) : total_(bytes), changed_(executor) {}

  // Waits until `bytes` more may be held.
  io::Task<> acquire(std::size_t bytes) {
    while (held_ > 0 && held_ + bytes > total_) co_await changed_.wait();
    held_ += bytes;
  }
  // Corrects a claim of `claimed` bytes that turned out to be `actual`; never waits.
  void correct(std::size_t claimed, std::size_t actual) {
    held_ += actual;
    release(claimed);
  }
  void release(std::size_t bytes) {
    held_ -= std::min(bytes, held_);
    changed_.notify_all();
  }

  [[nodiscard]] std::size_t total() const { return total_; }
  [[nodiscard]] std::size_t held() const { return held_; }

 private:
  std::size_t total_;
  std::size_t held_ = 0;
  io::Event changed_;
};

}  // namespace sluice::bulk
