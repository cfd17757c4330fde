// Stretch and Stretches: parts of a source that has an order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::bulk {

// A place in the order of a source, as bytes that sort as the source does: in a listing by key,
// before the entry of that key; in a file, before the byte of that offset.
[[nodiscard]] std::string place_at(std::uint64_t offset);
// The place right behind the entry of `key`: no other key lies between.
[[nodiscard]] std::string place_behind(std::string_view key);

// What lies from the place `from` on and before the place `to`. Empty: nothing, or a part of a
// source without an order.
struct Stretch {
  std::string from;
  std::string to;
  [[nodiscard]] bool empty() const { return from >= to; }
  friend bool operator==(const Stretch&, const Stretch&) = default;
};

// A set of places, kept as the fewest stretches: those that touch are one. Pure.
class Stretches {
 public:
  void add(Stretch stretch);
  void remove(const Stretch& stretch);
  [[nodiscard]] bool contains(std::string_view place) const;

  [[nodiscard]] bool empty() const { return stretches_.empty(); }
  // Bytes of the places that it is kept as.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  // In order: where each begins, and where it ends.
  [[nodiscard]] auto begin() const { return stretches_.begin(); }
  [[nodiscard]] auto end() const { return stretches_.end(); }
  friend bool operator==(const Stretches&, const Stretches&) = default;

 private:
  using Map = std::map<std::string, std::string, std::less<>>;
  Map::iterator erase(Map::iterator at);
  void insert(std::string from, std::string to);

  Map stretches_;
  std::size_t bytes_ = 0;
};

}  // namespace sluice::bulk
