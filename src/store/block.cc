#include "store/block.h"

#include <algorithm>

namespace sluice::store {

namespace {
// Small enough that a block of one entry is cheap, doubled up to a size at which the allocator's
// own cost vanishes.
constexpr std::size_t kFirstChunk = 4096;
constexpr std::size_t kLargestChunk = std::size_t{1} << 20;
}  // namespace

void Block::append(const EntryView& entry) {
  EntryView mine = entry;
  mine.key = copy(entry.key);
  mine.value = copy(entry.value);
  mine.metadata = copy(entry.metadata);
  entries_.push_back(mine);
}

void Block::clear() {
  entries_.clear();
  used_ = 0;
  if (chunks_.empty()) return;
  std::swap(chunks_.front(), chunks_.back());  // the last one is the largest
  chunks_.resize(1);
  next_ = chunks_.front().memory.get();
  room_ = chunks_.front().size;
}

void Block::grow(std::size_t size) {
  const std::size_t last = chunks_.empty() ? kFirstChunk / 2 : chunks_.back().size;
  const std::size_t chunk = std::max(std::min(last * 2, kLargestChunk), size);
  chunks_.push_back({std::make_unique_for_overwrite<char[]>(chunk), chunk});
  next_ = chunks_.back().memory.get();
  room_ = chunk;
}

}  // namespace sluice::store
