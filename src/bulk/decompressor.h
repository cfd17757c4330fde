// Decompressor: gzip and zstd streams, piece by piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/error.h"

namespace sluice::bulk {

enum class Compression : std::uint8_t { none, gzip, zstd };

// How a stream that begins with `beginning` (at least 6 bytes, unless it is shorter) is compressed.
// A kind that is recognized but not supported (xz, bzip2, zip) is `unsupported` with a sentence
// that says what to do.
Result<Compression> detect_compression(std::string_view beginning);

// A stream of one or more gzip members (RFC 1952) or zstd frames (RFC 8878), whose contents follow
// each other. Needs 32 KB for gzip, and for zstd at most 128 MB, which a stream must not exceed.
class Decompressor {
 public:
  struct Step {
    std::size_t consumed = 0;  // of the input
    std::size_t produced = 0;  // of the output
  };
  virtual ~Decompressor() = default;

  // Decompresses as much of `in` into `out` as there is room for; neither is empty. When a step
  // neither consumes nor produces, all of the output has been given out.
  virtual Result<Step> step(std::string_view in, std::span<char> out) = 0;
  // The same when there is no more input: what has been held back.
  virtual Result<Step> drain(std::span<char> out) = 0;
  // Whether the input may end here: between members or frames.
  [[nodiscard]] virtual bool complete() const = 0;
};

[[nodiscard]] std::unique_ptr<Decompressor> make_decompressor(Compression compression);

}  // namespace sluice::bulk
