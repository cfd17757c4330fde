#include "base/secret.h"

#include <cstring>

namespace sluice {

Secret::Secret(Secret&& other) noexcept : value_(std::move(other.value_)) {
  other.wipe();
}

Secret& Secret::operator=(const Secret& other) {
  if (this != &other) *this = Secret(other);
  return *this;
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    wipe();
    value_.swap(other.value_);
    // A short text lies inside the string object, so the swap has left a copy behind.
    other.wipe();
  }
  return *this;
}

void Secret::wipe() noexcept {
  // explicit_bzero, since a compiler may drop a memset on memory that nobody reads again.
  explicit_bzero(value_.data(), value_.capacity());
  value_.clear();
}

bool constant_time_equal(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<unsigned char>(
        difference | (static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i])));
  }
  // Without this, the compiler could leave the loop at the first difference.
  asm volatile("" : "+r"(difference));
  return difference == 0;
}

}  // namespace sluice
