#include "demo_entries.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iterator>

#include "base/descriptor.h"

namespace sluice::cli {

namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;
constexpr std::array<std::string_view, 8> kCities{"Oslo",  "Lisbon", "Reykjavik", "Turin",
                                                  "Kyoto", "Quito",  "Tbilisi",   "Bergen"};
constexpr std::array<std::string_view, 3> kStatus{"active", "idle", "closed"};
constexpr std::array<std::string_view, 4> kPlans{"free", "pro", "team", "enterprise"};

// SplitMix64 (Steele, Lea and Flood, 2014): the same sequence everywhere.
std::uint64_t mix(std::uint64_t number) {
  number += 0x9e3779b97f4a7c15u;
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
  number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
  return number ^ (number >> 31);
}

}  // namespace

Result<DemoCounts> write_demo_entries(const std::string& path, std::uint64_t entries) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return std::unexpected(system_error(errno, fmt::format("create {}", path)));
  DemoCounts counts;
  std::string text;
  Result<> written;
  for (std::uint64_t i = 0; i < entries && written; ++i) {
    const std::uint64_t chance = mix(i);
    const std::string key = fmt::format("user:{:07}", i);
    // One city in eight is the one that is searched for, in the middle of a nested object.
    const std::string_view city = kCities[chance % kCities.size()];
    const bool stale = (chance >> 8) % 10 == 0;
    const std::string_view plan = kPlans[(chance >> 16) % kPlans.size()];
    fmt::format_to(
        std::back_inserter(text),
        R"({{"key":"{}","value":"{{\"visits\":{},\"plan\":\"{}\"}}","metadata":{{"tags":["{}"{}],)"
        R"("status":"{}","owner":{{"name":"User {}","home":{{"city":"{}"}}}}}}}})"
        "\n",
        key, (chance >> 24) % 1000, plan, plan, stale ? ",\"stale\"" : "",
        kStatus[(chance >> 40) % kStatus.size()], i, city);
    ++counts.entries;
    counts.with_search += city == "Reykjavik" ? 1 : 0;
    counts.with_prefix += key.starts_with(kDemoPrefix) ? 1 : 0;
    counts.with_tag += stale ? 1 : 0;
    if (text.size() >= kPiece) {
      written = write_all(file, path, text);
      text.clear();
    }
  }
  if (written) written = write_all(file, path, text);
  ::close(file);
  if (!written) return std::unexpected(written.error());
  return counts;
}

}  // namespace sluice::cli
