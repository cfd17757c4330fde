#include "bulk/stretches.h"

#include <algorithm>
#include <iterator>

namespace sluice::bulk {

std::string place_at(std::uint64_t offset) {
  std::string place(sizeof offset, '\0');
  for (std::size_t i = place.size(); i-- > 0; offset >>= 8) place[i] = static_cast<char>(offset);
  return place;
}

std::string place_behind(std::string_view key) {
  std::string place;
  place.reserve(key.size() + 1);
  place.append(key).push_back('\0');
  return place;
}

void Stretches::add(Stretch stretch) {
  if (stretch.empty()) return;
  // Takes in all that it touches: the one that begins before it, if that reaches so far, and those
  // that begin within it or right behind it.
  auto at = stretches_.upper_bound(stretch.from);
  if (at != stretches_.begin() && std::prev(at)->second >= stretch.from) --at;
  while (at != stretches_.end() && at->first <= stretch.to) {
    stretch.from = std::min(stretch.from, at->first);
    stretch.to = std::max(stretch.to, at->second);
    at = erase(at);
  }
  insert(std::move(stretch.from), std::move(stretch.to));
}

void Stretches::remove(const Stretch& stretch) {
  if (stretch.empty()) return;
  auto at = stretches_.upper_bound(stretch.from);
  if (at != stretches_.begin() && std::prev(at)->second > stretch.from) --at;
  while (at != stretches_.end() && at->first < stretch.to) {
    const auto [from, to] = *at;
    at = erase(at);
    if (from < stretch.from) insert(from, stretch.from);
    if (to > stretch.to) insert(stretch.to, to);
  }
}

bool Stretches::contains(std::string_view place) const {
  const auto behind = stretches_.upper_bound(place);
  return behind != stretches_.begin() && std::prev(behind)->second > place;
}

Stretches::Map::iterator Stretches::erase(Map::iterator at) {
  bytes_ -= at->first.size() + at->second.size();
  return stretches_.erase(at);
}

void Stretches::insert(std::string from, std::string to) {
  bytes_ += from.size() + to.size();
  stretches_.emplace(std::move(from), std::move(to));
}

}  // namespace sluice::bulk
