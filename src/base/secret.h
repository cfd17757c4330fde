// Secret: a token or password that cannot slip into a message.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace sluice {

// Holds a secret text. It is read only by reveal(), which is easy to find in a review; formatting a
// Secret prints "***". The memory is overwritten when the object dies, is moved from or assigned
// to.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept;
  Secret& operator=(const Secret& other);
  Secret& operator=(Secret&& other) noexcept;
  ~Secret() { wipe(); }

  [[nodiscard]] bool empty() const { return value_.empty(); }
  // The secret itself: for the wire, never for a log or a message. Valid as long as this object.
  [[nodiscard]] std::string_view reveal() const { return value_; }

 private:
  void wipe() noexcept;
  std::string value_;
};

// Whether two texts are equal, in a time that depends on their lengths only, so that an attacker
// cannot guess a token byte by byte from how soon it is refused.
[[nodiscard]] bool constant_time_equal(std::string_view a, std::string_view b);

}  // namespace sluice

template <>
struct fmt::formatter<sluice::Secret> : fmt::formatter<std::string_view> {
  template <class Context>
  auto format(const sluice::Secret&, Context& context) const {
    return fmt::formatter<std::string_view>::format("***", context);
  }
};
