// Batcher and BatchSize: what one call carries. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace sluice::flow {

// Says when a batch is full, by count and by bytes. The items themselves are kept by the caller:
//
//   if (!batcher.fits(bytes)) { send(batch); batcher.clear(); }
//   batch.append(item); batcher.add(bytes);
//
// An item larger than the byte limit fits an empty batch: it travels alone.
class Batcher {
 public:
  Batcher(std::size_t most_items, std::size_t most_bytes)
      : most_items_(std::max<std::size_t>(1, most_items)), most_bytes_(most_bytes) {}

  [[nodiscard]] bool fits(std::size_t bytes) const {
    return items_ == 0 || (items_ < most_items_ && bytes_ + bytes <= most_bytes_);
  }
  void add(std::size_t bytes) {
    ++items_;
    bytes_ += bytes;
  }
  void clear() { items_ = bytes_ = 0; }

  // Takes effect at the next `fits`.
  void set_most_items(std::size_t most_items) {
    most_items_ = std::max<std::size_t>(1, most_items);
  }

  [[nodiscard]] std::size_t items() const { return items_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::size_t most_items_;
  std::size_t most_bytes_;
  std::size_t items_ = 0;
  std::size_t bytes_ = 0;
};

// How many items a batch should carry: the backend's maximum at first, half of the size that failed
// after a "too large" or a time-out, and back up after successes. It doubles only after as many
// successes as it has halved in a row, so that a service that stands 2,500 is not asked for 5,000
// every other time. Time-outs also come by chance: what a size has stood tells them apart, lest a
// service that loses one answer in twenty end up with batches of a single key.
class BatchSize {
 public:
  explicit BatchSize(std::size_t maximum)
      : maximum_(std::max<std::size_t>(1, maximum)), limit_(maximum_) {}

  // A batch of `items` was refused for its size or timed out. Batches that were under way when the
  // limit fell already, and are larger than it, do not lower it again.
  void refused(std::size_t items) {
    const std::size_t half = std::max<std::size_t>(1, items / 2);
    if (half < limit_) {
      limit_ = half;
      patience_ = std::min<std::size_t>(patience_ * 2, 64);
      refused_ = items;
    }
    stood_ = std::min(stood_, half);
    successes_ = 0;
  }
  // A batch of `items` succeeded. Small batches (the last of a run) tell nothing.
  void succeeded(std::size_t items) {
    stood_ = std::max(stood_, items);
    // The size was not what had been refused.
    if (items >= refused_) patience_ = kLeastPatience;
    if (limit_ == maximum_ || items < limit_) return;
    if (++successes_ < patience_) return;
    successes_ = 0;
    limit_ = std::min(maximum_, limit_ * 2);
  }

  // Whether as many items have succeeded since they were refused: then a time-out is no reason to
  // think that they are too many, unless it comes again.
  [[nodiscard]] bool has_stood(std::size_t items) const { return items <= stood_; }

  [[nodiscard]] std::size_t limit() const { return limit_; }

 private:
  static constexpr std::size_t kLeastPatience = 4;

  std::size_t maximum_;
  std::size_t limit_;
  std::size_t refused_ = SIZE_MAX;         // the size that was refused last
  std::size_t stood_ = 1;                  // a single item cannot be made smaller
  std::size_t patience_ = kLeastPatience;  // successes in a row before a larger size is tried
  std::size_t successes_ = 0;
};

}  // namespace sluice::flow
