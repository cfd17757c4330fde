// How values and tags are stored, and how they are known to be what was stored.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace sluice::localcache {

// How a value is stored. Numbers are part of the format.
struct Form {
  static constexpr std::uint32_t compressed = 1;  // with zstd
  static constexpr std::uint32_t in_file = 2;     // the row holds the name of a file
  static constexpr std::uint32_t all = compressed | in_file;
};

// Below this it is not worth it.
inline constexpr std::size_t kLeastCompressed = 1024;

// Whether so much less is worth the time that unpacking takes: an eighth.
[[nodiscard]] constexpr bool pays(std::uint64_t stored, std::uint64_t given) {
  return stored <= given - given / 8;
}

// zstd, with contexts that are made when they are needed first and kept.
class Codec {
 public:
  Codec();
  Codec(Codec&&) noexcept;
  Codec& operator=(Codec&&) noexcept;
  ~Codec();

  // The value compressed, valid until the next call; nothing if it does not pay.
  std::optional<std::string_view> compress(std::string_view value);
  // `size` is what it must be then. Fails with `corrupt`.
  Result<std::string> decompress(std::string_view stored, std::uint64_t size);

 private:
  struct Free {
    void operator()(ZSTD_CCtx_s* context) const;
    void operator()(ZSTD_DCtx_s* context) const;
  };
  std::unique_ptr<ZSTD_CCtx_s, Free> compressor_;
  std::unique_ptr<ZSTD_DCtx_s, Free> decompressor_;
  std::string buffer_;
};

// XXH3 of bytes. Of a file's content the same, piece by piece (see value_file.h).
[[nodiscard]] std::uint64_t content_hash(std::string_view stored);

// What the checksum of an entry covers beside its stored bytes.
struct Sealed {
  std::string_view key;
  std::uint64_t value_bytes = 0;
  std::int64_t created = 0;
  std::int64_t expires = 0;  // 0: never
  std::uint32_t form = 0;
  std::string_view tags;
};
[[nodiscard]] std::uint64_t entry_checksum(const Sealed& sealed, std::uint64_t stored_hash);

// Tags in one piece: each with a NUL at its end, sorted, none twice.
std::string pack_tags(const std::vector<std::string>& tags);
std::vector<std::string> unpack_tags(std::string_view packed);

}  // namespace sluice::localcache
