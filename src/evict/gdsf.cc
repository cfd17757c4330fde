#include "evict/gdsf.h"

#include <algorithm>
#include <cmath>

namespace sluice::evict {

double Gdsf::priority(const Merit& merit) const {
  const auto frequency = static_cast<double>(std::max<std::uint64_t>(merit.frequency, 1));
  const auto size = static_cast<double>(std::max<std::uint64_t>(merit.size, 1));
  const double worth = frequency * merit.cost / size;
  // A cost that is no number must not make an entry immortal, or spoil the order.
  return inflation_ + (std::isfinite(worth) ? std::max(worth, 0.0) : 0.0);
}

void Gdsf::evicted(double priority) {
  if (std::isfinite(priority)) inflation_ = std::max(inflation_, priority);
}

}  // namespace sluice::evict
