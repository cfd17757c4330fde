// Descriptor: owns a file descriptor; and writing to one.
#pragma once

#include <unistd.h>

#include <string_view>
#include <utility>

#include "base/error.h"

namespace sluice {

// Closes it in the end. Moved, it is somebody else's.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { reset(); }
  [[nodiscard]] int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  // Gives it to somebody else, who closes it.
  int release() { return std::exchange(number_, -1); }
  void reset() {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }

 private:
  int number_ = -1;
};

// Writes all of `bytes`, going on after a signal or a short write. `name` is what the error calls
// the file. A full disk is fatal for the run (see system_error).
Result<> write_all(int descriptor, std::string_view name, std::string_view bytes);

}  // namespace sluice
