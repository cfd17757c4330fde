#include "localcache/content.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <new>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::localcache {

namespace {
constexpr int kLevel = 1;  // the cache is asked for speed
}

void Codec::Free::operator()(ZSTD_CCtx_s* context) const {
  ZSTD_freeCCtx(context);
}
void Codec::Free::operator()(ZSTD_DCtx_s* context) const {
  ZSTD_freeDCtx(context);
}

Codec::Codec() = default;
Codec::Codec(Codec&&) noexcept = default;
Codec& Codec::operator=(Codec&&) noexcept = default;
Codec::~Codec() = default;

std::optional<std::string_view> Codec::compress(std::string_view value) {
  if (value.size() <= kLeastCompressed) return std::nullopt;
  if (compressor_ == nullptr) compressor_.reset(ZSTD_createCCtx());
  if (compressor_ == nullptr) throw std::bad_alloc();
  // No more room than what pays: zstd gives up when it is used up.
  const std::size_t room = value.size() - value.size() / 8;
  if (buffer_.size() < room) buffer_.resize(room);
  const std::size_t size = ZSTD_compressCCtx(compressor_.get(), buffer_.data(), room, value.data(),
                                             value.size(), kLevel);
  if (ZSTD_isError(size) != 0) return std::nullopt;
  return std::string_view(buffer_).substr(0, size);
}

Result<std::string> Codec::decompress(std::string_view stored, std::uint64_t size) {
  if (decompressor_ == nullptr) decompressor_.reset(ZSTD_createDCtx());
  if (decompressor_ == nullptr) throw std::bad_alloc();
  std::string value;
  std::size_t got = 0;
  value.resize_and_overwrite(size, [&](char* at, std::size_t room) {
    got = ZSTD_decompressDCtx(decompressor_.get(), at, room, stored.data(), stored.size());
    return room;
  });
  if (ZSTD_isError(got) != 0 || got != size) {
    return fail(ErrorCode::corrupt, "a compressed value cannot be unpacked.");
  }
  return value;
}

std::uint64_t content_hash(std::string_view stored) {
  return XXH3_64bits(stored.data(), stored.size());
}

std::uint64_t entry_checksum(const Sealed& sealed, std::uint64_t stored_hash) {
  const std::array<std::uint64_t, 7> numbers = {stored_hash,
                                                sealed.value_bytes,
                                                static_cast<std::uint64_t>(sealed.created),
                                                static_cast<std::uint64_t>(sealed.expires),
                                                sealed.form,
                                                sealed.key.size(),
                                                sealed.tags.size()};
  XXH64_hash_t hash = XXH3_64bits(numbers.data(), sizeof numbers);
  hash = XXH3_64bits_withSeed(sealed.key.data(), sealed.key.size(), hash);
  return XXH3_64bits_withSeed(sealed.tags.data(), sealed.tags.size(), hash);
}

std::string pack_tags(const std::vector<std::string>& tags) {
  std::vector<std::string_view> sorted(tags.begin(), tags.end());
  std::ranges::sort(sorted);
  const auto rest = std::ranges::unique(sorted);
  sorted.erase(rest.begin(), rest.end());
  std::string packed;
  for (const std::string_view tag : sorted) {
    packed += tag;
    packed += '\0';
  }
  return packed;
}

std::vector<std::string> unpack_tags(std::string_view packed) {
  std::vector<std::string> tags;
  while (!packed.empty()) {
    const std::size_t end = packed.find('\0');
    tags.emplace_back(packed.substr(0, end));
    packed.remove_prefix(end == std::string_view::npos ? packed.size() : end + 1);
  }
  return tags;
}

}  // namespace sluice::localcache
