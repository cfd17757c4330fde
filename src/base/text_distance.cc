#include "base/text_distance.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/ascii.h"

namespace sluice {
std::size_t text_distance(std::string_view from, std::string_view to) {
  // Three rows of the usual table: row i holds the distances of from[0, i) to every to[0, j).
  std::vector<std::size_t> before(to.size() + 1);
  std::vector<std::size_t> last(to.size() + 1);
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t j = 0; j <= to.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= from.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const char a = ascii_lower(from[i - 1]);
      const char b = ascii_lower(to[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a == b ? 0 : 1)});
      if (i > 1 && j > 1 && a == ascii_lower(to[j - 2]) && ascii_lower(from[i - 2]) == b) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[to.size()];
}

std::optional<std::string_view> nearest(std::string_view name,
                                        std::span<const std::string_view> candidates) {
  // Names are short; a long one is no misspelling, and the table grows with the product.
  if (name.size() > 64) return std::nullopt;
  std::optional<std::string_view> best;
  std::size_t best_distance = 0;
  for (const std::string_view candidate : candidates) {
    std::size_t distance = text_distance(name, candidate);
    const std::size_t longer = std::max(name.size(), candidate.size());
    const bool begun = name.size() >= 2 && candidate.starts_with(name);
    if (begun) distance = 1;
    if (!begun && distance > std::max<std::size_t>(1, longer / 3)) continue;
    // One letter for another is no misspelling.
    if (distance >= longer) continue;
    if (!best || distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates) {
  const std::optional<std::string_view> guess = nearest(name, candidates);
  return guess ? fmt::format(" Did you mean \"{}\"?", *guess) : std::string{};
}

}  // namespace sluice
