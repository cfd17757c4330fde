// Query: the parameters behind the question mark.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sluice::server::cloudflare {

// The decoded parameters of a request, in their order. Decoded as forms are (a "+" is a space),
// which is how clients write them. Pure.
class Query {
 public:
  // Fails (invalid_argument) on a "%" without two hexadecimal digits behind it.
  static Result<Query> parse(std::string_view text);

  // The first parameter of this name; none: there is no such one.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  // The same as a whole number; an error names the parameter that is none.
  [[nodiscard]] Result<std::optional<std::int64_t>> find_integer(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, std::string>> parameters_;
};

}  // namespace sluice::server::cloudflare
