// Gdsf: which entry of a full cache goes next.
#pragma once

#include <cstdint>

namespace sluice::evict {

// What an entry is judged by.
struct Merit {
  std::uint64_t frequency = 1;  // how often it was stored or read; 0 counts as 1
  double cost = 1;              // what a miss costs, in any unit that all entries share
  std::uint64_t size = 1;       // what the limit counts, in bytes; 0 counts as 1
};

// GreedyDual-Size-Frequency (Cherkasova 1998): an entry's priority is
//
//   inflation + frequency × cost ÷ size
//
// at the moment of its last use, and the entry with the least priority goes first. The inflation is
// the greatest priority that was evicted so far; it is what makes entries age: one that was worth
// much and is used no more is overtaken by newer ones.
//
// Pure: it holds the inflation and nothing else. Whoever keeps the entries keeps each one's
// priority beside it, ordered (a column with an index, or the map of GdsfQueue), and stores the
// inflation with them. What has expired goes before any that has not; that is the keeper's
// business.
class Gdsf {
 public:
  explicit Gdsf(double inflation = 0) : inflation_(inflation) {}

  // What an entry is worth when it is used now. Finite for any merit.
  [[nodiscard]] double priority(const Merit& merit) const;

  // The entry of this priority was evicted to make room. Not for one that was deleted or has
  // expired.
  void evicted(double priority);

  [[nodiscard]] double inflation() const { return inflation_; }

 private:
  double inflation_;
};

}  // namespace sluice::evict
