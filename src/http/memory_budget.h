// MemoryBudget: the bytes that the bodies of all connections of a server may hold together.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "io/task.h"

namespace sluice::http {

// Keeps a server's memory bounded under any clients: whoever holds a large body holds a lease on
// its bytes. Small bodies (kSmall) need none: the number of connections bounds them. Thread-safe:
// the loops of a server share one. Outlives its leases.
class MemoryBudget {
 public:
  // Up to so many bytes a body is not counted.
  static constexpr std::uint64_t kSmall = 16 * 1024;

  explicit MemoryBudget(std::uint64_t bytes)
      : all_(bytes), left_(static_cast<std::int64_t>(bytes)) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Lease& operator=(Lease&& other) noexcept {
      if (this != &other) {
        give_back();
        budget_ = std::exchange(other.budget_, nullptr);
        bytes_ = std::exchange(other.bytes_, 0);
      }
      return *this;
    }
    ~Lease() { give_back(); }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    // Gives back what it covers beyond `bytes`, which for a small body is all.
    void shrink(std::uint64_t bytes) {
      if (bytes <= kSmall) bytes = 0;
      if (bytes >= bytes_) return;
      budget_->left_.fetch_add(static_cast<std::int64_t>(bytes_ - bytes));
      bytes_ = bytes;
    }

   private:
    friend class MemoryBudget;
    void give_back() {
      if (budget_ != nullptr) budget_->left_.fetch_add(static_cast<std::int64_t>(bytes_));
      budget_ = nullptr;
      bytes_ = 0;
    }
    MemoryBudget* budget_ = nullptr;
    std::uint64_t bytes_ = 0;
  };

  // Makes `lease` cover `bytes` in all, if there is room now. A small body always has room. False:
  // the lease is as it was.
  bool try_cover(Lease& lease, std::uint64_t bytes);

  // The same, waiting for room until `until`. More than the whole budget never has room. Waits for
  // nothing while `lease` holds something: two that grow would wait for each other.
  io::Task<bool> cover(Lease& lease, std::uint64_t bytes, io::Clock::time_point until);

  [[nodiscard]] std::uint64_t bytes() const { return all_; }
  [[nodiscard]] std::uint64_t in_use() const {
    return all_ - static_cast<std::uint64_t>(left_.load());
  }

 private:
  const std::uint64_t all_;
  std::atomic<std::int64_t> left_;
};

}  // namespace sluice::http
