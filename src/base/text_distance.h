// "Did you mean …": which known name is nearest to a mistyped one.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

// The least number of insertions, deletions, substitutions and swaps of neighbours that turn `from`
// into `to` (optimal string alignment), ASCII case apart.
[[nodiscard]] std::size_t text_distance(std::string_view from, std::string_view to);

// The candidate nearest to `name`, or none when even that one is too far to be what was meant (more
// than a third of its length away, and not one that `name` begins). The first one wins a tie.
[[nodiscard]] std::optional<std::string_view> nearest(std::string_view name,
                                                      std::span<const std::string_view> candidates);

// " Did you mean \"list\"?", or an empty text: to be put behind a sentence.
[[nodiscard]] std::string did_you_mean(std::string_view name,
                                       std::span<const std::string_view> candidates);

}  // namespace sluice
