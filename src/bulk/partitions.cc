#include "bulk/partitions.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/utf8.h"

namespace sluice::bulk {

namespace {

// The position of every piece stands in each record of the journal.
constexpr std::size_t kMostPieces = 32;
constexpr std::size_t kMostPrefixes = 256;

}  // namespace

Result<Partitions> parse_partitions(std::string_view text) {
  Partitions partitions;
  if (text == "auto") return partitions;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), partitions.count);
  if (error != std::errc::invalid_argument && end == text.data() + text.size()) {
    if (error == std::errc() && partitions.count >= 1 && partitions.count <= kMostPieces) {
      return partitions;
    }
    return fail(ErrorCode::invalid_argument, "a listing is parted into 1 to {} pieces, not {}",
                kMostPieces, text);
  }
  partitions.count = 0;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    partitions.prefixes.emplace_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  if (partitions.prefixes.size() > kMostPrefixes) {
    return fail(ErrorCode::invalid_argument, "at most {} prefixes are listed side by side",
                kMostPrefixes);
  }
  std::ranges::sort(partitions.prefixes);
  if (partitions.prefixes.front().empty()) {
    return fail(ErrorCode::invalid_argument,
                "\"{}\" is no list of partitions: between two commas there is an empty prefix, "
                "with which every key begins. Write auto, a number, or prefixes such as a,b,c.",
                printable(text));
  }
  for (std::size_t i = 1; i < partitions.prefixes.size(); ++i) {
    const std::string& before = partitions.prefixes[i - 1];
    if (partitions.prefixes[i].starts_with(before)) {
      return fail(ErrorCode::invalid_argument,
                  "the partitions \"{}\" and \"{}\" overlap: keys that begin with the second would "
                  "be listed twice. Leave one out.",
                  printable(before), printable(partitions.prefixes[i]));
    }
  }
  return partitions;
}

Result<> check_partitions(const Partitions& partitions, const store::Capabilities& can,
                          std::string_view prefix) {
  if (partitions.count > 1 && !can.seekable) {
    return fail(ErrorCode::invalid_argument,
                "this store cannot begin a listing in the middle, so it cannot be parted into {} "
                "pieces. Name prefixes with which all keys begin (--list-partitions a,b,c), or "
                "leave it at auto.",
                partitions.count);
  }
  for (const std::string& each : partitions.prefixes) {
    if (!each.starts_with(prefix) && !prefix.starts_with(each)) {
      return fail(ErrorCode::invalid_argument,
                  "the partition \"{}\" lies outside of --prefix \"{}\": name partitions that "
                  "begin with it",
                  printable(each), printable(prefix));
    }
  }
  return {};
}

io::Task<Result<std::vector<Piece>>> plan_pieces(store::Store& store, std::string prefix,
                                                 const Partitions& partitions,
                                                 std::size_t automatic) {
  const store::Capabilities& can = store.capabilities();
  if (auto checked = check_partitions(partitions, can, prefix); !checked) {
    co_return std::unexpected(checked.error());
  }
  std::vector<Piece> pieces;
  for (const std::string& each : partitions.prefixes) {
    // One that is shorter than --prefix is the only one: two would overlap.
    pieces.push_back({.prefix = std::max(each, prefix), .after = {}, .until = {}});
  }
  if (!pieces.empty()) co_return pieces;

  const std::size_t count = partitions.count > 0 ? partitions.count : automatic;
  std::string after;
  if (count > 1 && can.seekable) {
    auto points = co_await store.split(prefix, count);
    if (!points) co_return std::unexpected(points.error());
    for (std::string& point : *points) {
      pieces.push_back({.prefix = prefix, .after = after, .until = point});
      after = std::move(point);
    }
  }
  pieces.push_back({.prefix = std::move(prefix), .after = std::move(after), .until = {}});
  co_return pieces;
}

}  // namespace sluice::bulk
