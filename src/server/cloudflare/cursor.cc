#include "server/cloudflare/cursor.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "base/base64.h"

namespace sluice::server::cloudflare {

namespace {

constexpr char kVersion = 1;
using Checksum = std::array<char, sizeof(XXH64_canonical_t)>;
constexpr std::size_t kHead = 1 + sizeof(Checksum);

// Every part with its length, so that no two cursors are of the same text.
Checksum checksum(std::string_view space, std::string_view prefix, std::string_view position) {
  std::string text;
  text.reserve(space.size() + prefix.size() + position.size() + 3 * sizeof(std::uint64_t));
  for (const std::string_view part : {space, prefix, position}) {
    const std::uint64_t size = part.size();
    text.append(reinterpret_cast<const char*>(&size), sizeof size);
    text += part;
  }
  XXH64_canonical_t canonical;
  XXH64_canonicalFromHash(&canonical, XXH3_64bits(text.data(), text.size()));
  Checksum bytes;
  std::memcpy(bytes.data(), &canonical, sizeof canonical);
  return bytes;
}

std::unexpected<Error> not_ours() {
  return fail(ErrorCode::invalid_argument,
              "the cursor is not one of this listing; start it from its beginning, and repeat the "
              "prefix on every page");
}

}  // namespace

std::string make_cursor(std::string_view space, std::string_view prefix,
                        std::string_view position) {
  const Checksum sum = checksum(space, prefix, position);
  std::string bytes;
  bytes.reserve(kHead + position.size());
  bytes += kVersion;
  bytes.append(sum.data(), sum.size());
  bytes += position;
  std::string text;
  append_base64(text, bytes);
  while (text.ends_with('=')) text.pop_back();
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  return text;
}

Result<std::string> read_cursor(std::string_view cursor, std::string_view space,
                                std::string_view prefix) {
  if (cursor.find_first_of("+/=") != std::string_view::npos) return not_ours();
  std::string text(cursor);
  std::ranges::replace(text, '-', '+');
  std::ranges::replace(text, '_', '/');
  text.append((4 - text.size() % 4) % 4, '=');
  auto bytes = decode_base64(text);
  if (!bytes || bytes->size() <= kHead || bytes->front() != kVersion) return not_ours();
  const Checksum sum = checksum(space, prefix, std::string_view(*bytes).substr(kHead));
  if (!std::equal(sum.begin(), sum.end(), bytes->begin() + 1)) return not_ours();
  bytes->erase(0, kHead);
  return bytes;
}

}  // namespace sluice::server::cloudflare
