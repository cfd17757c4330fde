#include "bulk/decompressor.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <climits>
#include <new>

namespace sluice::bulk {

namespace {

using namespace std::string_view_literals;

// zstd's own default: `zstd --long=27`. Beyond it, one small file could ask for gigabytes.
constexpr int kZstdWindowLog = 27;

class GzipDecompressor final : public Decompressor {
 public:
  GzipDecompressor() {
    // 16: a gzip header is required.
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw std::bad_alloc();
  }
  ~GzipDecompressor() override { inflateEnd(&stream_); }
  GzipDecompressor(const GzipDecompressor&) = delete;
  GzipDecompressor& operator=(const GzipDecompressor&) = delete;

  Result<Step> step(std::string_view in, std::span<char> out) override {
    if (complete_) {
      // RFC 1952, 2.2: members follow each other directly. What does not begin as one is no gzip,
      // and to pass over it in silence might be to lose data.
      if (in.front() != '\x1f') {
        return fail(ErrorCode::invalid_argument,
                    "something that is not gzip follows the end of the gzip stream; the file is "
                    "damaged, or was appended to by mistake.");
      }
      inflateReset(&stream_);
      complete_ = false;
    }
    return inflate_into(in, out);
  }

  Result<Step> drain(std::span<char> out) override {
    if (complete_) return Step{};
    return inflate_into({}, out);
  }

  [[nodiscard]] bool complete() const override { return complete_; }

 private:
  Result<Step> inflate_into(std::string_view in, std::span<char> out) {
    in = in.substr(0, UINT_MAX);
    out = out.first(std::min<std::size_t>(out.size(), UINT_MAX));
    // zlib does not write to its input; only its interface is older than const.
    stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status == Z_STREAM_END) complete_ = true;
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
      return fail(ErrorCode::invalid_argument,
                  "the gzip stream is damaged ({}); make the file anew, or fetch it again.",
                  stream_.msg != nullptr ? stream_.msg : "it needs a dictionary");
    }
    return Step{in.size() - stream_.avail_in, out.size() - stream_.avail_out};
  }

  z_stream stream_{};
  bool complete_ = false;
};

class ZstdDecompressor final : public Decompressor {
 public:
  ZstdDecompressor() : stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kZstdWindowLog);
  }
  ~ZstdDecompressor() override { ZSTD_freeDStream(stream_); }
  ZstdDecompressor(const ZstdDecompressor&) = delete;
  ZstdDecompressor& operator=(const ZstdDecompressor&) = delete;

  Result<Step> step(std::string_view in, std::span<char> out) override {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const std::size_t status = ZSTD_decompressStream(stream_, &output, &input);
    if (ZSTD_isError(status) != 0U) {
      const std::string_view reason = ZSTD_getErrorName(status);
      if (reason.find("too much memory") != std::string_view::npos) {
        return fail(
            ErrorCode::invalid_argument,
            "the zstd stream needs a window of more than 128 MB; decompress it with `zstd -dc "
            "--long=31` and pipe it in.");
      }
      if (begun_ && complete_) {
        return fail(ErrorCode::invalid_argument,
                    "something that is not zstd follows the end of the zstd stream; the file is "
                    "damaged, or was appended to by mistake.");
      }
      return fail(ErrorCode::invalid_argument,
                  "the zstd stream is damaged ({}); make the file anew, or fetch it again.",
                  reason);
    }
    begun_ = true;
    complete_ = status == 0;
    return Step{input.pos, output.pos};
  }

  Result<Step> drain(std::span<char> out) override {
    if (complete_) return Step{};
    return step({}, out);
  }

  [[nodiscard]] bool complete() const override { return complete_; }

 private:
  ZSTD_DStream* stream_;
  bool begun_ = false;
  bool complete_ = false;
};

}  // namespace

Result<Compression> detect_compression(std::string_view beginning) {
  if (beginning.starts_with("\x1f\x8b"sv)) return Compression::gzip;
  // A frame, or a skippable one before it.
  if (beginning.starts_with("\x28\xb5\x2f\xfd"sv)) return Compression::zstd;
  if (beginning.size() >= 4 && (beginning[0] & '\xf0') == '\x50' &&
      beginning.substr(1, 3) == "\x2a\x4d\x18"sv) {
    return Compression::zstd;
  }
  struct Other {
    std::string_view magic;
    std::string_view name;
    std::string_view command;
  };
  for (const Other& other :
       {Other{"\xfd"
              "7zXZ\0"sv,
              "xz", "xz -dc"},
        Other{"BZh"sv, "bzip2", "bzip2 -dc"}, Other{"PK\x03\x04"sv, "zip", "unzip -p"}}) {
    if (beginning.starts_with(other.magic)) {
      return fail(ErrorCode::unsupported,
                  "it is compressed with {}; only gzip and zstd are read directly. Decompress it "
                  "with `{}` and pipe it in.",
                  other.name, other.command);
    }
  }
  return Compression::none;
}

std::unique_ptr<Decompressor> make_decompressor(Compression compression) {
  switch (compression) {
    case Compression::gzip:
      return std::make_unique<GzipDecompressor>();
    case Compression::zstd:
      return std::make_unique<ZstdDecompressor>();
    case Compression::none:
      return nullptr;
  }
  return nullptr;
}

}  // namespace sluice::bulk
