#include "server/cloudflare/query.h"

#include <algorithm>
#include <charconv>

#include "base/percent.h"

namespace sluice::server::cloudflare {

namespace {

Result<std::string> decode(std::string_view text) {
  if (!text.contains('+')) return percent_decode(text);
  std::string spaced(text);
  std::ranges::replace(spaced, '+', ' ');
  return percent_decode(spaced);
}

}  // namespace

Result<Query> Query::parse(std::string_view text) {
  Query query;
  while (!text.empty()) {
    const std::string_view parameter = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(parameter.size() + 1, text.size()));
    if (parameter.empty()) continue;
    const std::size_t equals = std::min(parameter.find('='), parameter.size());
    auto name = decode(parameter.substr(0, equals));
    if (!name) return std::unexpected(std::move(name.error()));
    auto value = decode(parameter.substr(std::min(equals + 1, parameter.size())));
    if (!value) return std::unexpected(std::move(value.error()));
    query.parameters_.emplace_back(std::move(*name), std::move(*value));
  }
  return query;
}

std::optional<std::string_view> Query::find(std::string_view name) const {
  for (const auto& [own_name, value] : parameters_) {
    if (own_name == name) return value;
  }
  return std::nullopt;
}

Result<std::optional<std::int64_t>> Query::find_integer(std::string_view name) const {
  const auto text = find(name);
  if (!text) return std::nullopt;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc{} || end != text->data() + text->size()) {
    return fail(ErrorCode::invalid_argument, "{} must be a whole number", name);
  }
  return number;
}

}  // namespace sluice::server::cloudflare
