// ArrayCutter: the elements of a JSON array, as texts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::server::cloudflare {

// Finds where the elements of an array begin and end, without looking into them: so a body of any
// size is parsed an element at a time, in memory for one element. What it hands out has matching
// quotes and as many opening as closing brackets, and is otherwise unchecked. Pure.
class ArrayCutter {
 public:
  // An element that has more characters than this outside of its strings, white space apart, is
  // bad: a parser takes several bytes of memory for each, and nothing that belongs in a bulk body
  // comes near.
  static constexpr std::size_t kMostTokens = 65'536;

  explicit ArrayCutter(std::string_view text) : text_(text) {}

  enum class Step : std::uint8_t {
    element,  // element() is the next one
    end,      // the array is complete, and nothing but white space follows it
    bad,      // this is not one array; nothing more can be read
  };
  Step next();

  [[nodiscard]] std::string_view element() const { return element_; }
  // How many bytes have been looked at.
  [[nodiscard]] std::size_t offset() const { return at_; }

 private:
  void skip_space();
  // Where the string that begins at `from` ends; npos: nowhere.
  [[nodiscard]] std::size_t end_of_string(std::size_t from) const;
  [[nodiscard]] std::size_t end_of_nested(std::size_t from) const;
  [[nodiscard]] std::size_t end_of_scalar(std::size_t from) const;

  std::string_view text_;
  std::string_view element_;
  std::size_t at_ = 0;
  bool begun_ = false;
};

}  // namespace sluice::server::cloudflare
