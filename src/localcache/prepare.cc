#include "localcache/prepare.h"

#include <utility>

namespace sluice::localcache {

namespace {

// Values up to this size are compressed in one piece.
constexpr std::size_t kLargestWhole = std::size_t{1} << 20;

PreparedValue whole(OpenCache& open, std::string_view value) {
  PreparedValue content{.value_bytes = value.size(), .stored = value};
  if (const auto compressed = open.codec.compress(value)) {
    content.form = Form::compressed;
    content.stored = *compressed;
  }
  content.stored_hash = content_hash(content.stored);
  return content;
}

Result<PreparedValue> in_file(OpenCache& open, const Cache::Pieces& next) {
  auto file = NewValueFile::write(open.location.values(), open.file_mode(), next,
                                  open.options.sync != Sync::off);
  if (!file) return std::unexpected(file.error());
  const ValueFileHeader& header = file->header();
  return PreparedValue{.form = header.form,
                       .value_bytes = header.value_bytes,
                       .stored_hash = header.stored_hash,
                       .file = std::move(*file)};
}

}  // namespace

Error no_room(std::string_view key, const Limits& limits) {
  return Error{
      ErrorCode::too_large, Retry::never, std::nullopt,
      fmt::format("the entry {} is larger than the cache may be ({} bytes). Raise the limit "
                  "with `sluice cache limit --max-size`.",
                  quoted(key), limits.max_bytes)};
}

bool fits(std::string_view key, std::uint64_t value_bytes, const Limits& limits) {
  return key.size() <= limits.max_bytes && value_bytes <= limits.max_bytes - key.size();
}

Result<> check_options(const SetOptions& options) {
  if (options.ttl && options.ttl->count() <= 0) {
    return fail(ErrorCode::invalid_argument,
                "a time to live of {} ms is none. Name a longer one, or none at all.",
                options.ttl->count());
  }
  if (options.tags.size() > kMostTags) {
    return fail(ErrorCode::invalid_argument, "{} tags for an entry are too many; {} are the most.",
                options.tags.size(), kMostTags);
  }
  for (const std::string& tag : options.tags) {
    if (tag.empty() || tag.size() > kLongestTag || tag.find('\0') != std::string::npos) {
      return fail(ErrorCode::invalid_argument,
                  "the tag {} cannot be one: it needs 1 to {} bytes, none of them NUL.",
                  quoted(tag), kLongestTag);
    }
  }
  return {};
}

Result<PreparedValue> prepare(OpenCache& open, std::string_view key, std::string_view value,
                              const Limits& limits) {
  if (!fits(key, value.size(), limits)) return std::unexpected(no_room(key, limits));
  if (value.size() <= kLargestWhole) {
    PreparedValue content = whole(open, value);
    if (content.stored.size() <= kLargestInline) return content;
  }
  bool given = false;
  return in_file(open, [&]() -> Result<std::string_view> {
    return std::exchange(given, true) ? std::string_view() : value;
  });
}

Result<PreparedValue> prepare(OpenCache& open, std::string_view key, const Cache::Pieces& next,
                              const Limits& limits, std::string& buffer) {
  buffer.clear();
  bool ended = false;
  while (!ended && buffer.size() <= kLargestWhole) {
    const auto piece = next();
    if (!piece) return std::unexpected(piece.error());
    ended = piece->empty();
    buffer += *piece;
    if (!fits(key, buffer.size(), limits)) return std::unexpected(no_room(key, limits));
  }
  if (ended) return prepare(open, key, std::string_view(buffer), limits);
  bool given = false;
  std::uint64_t bytes = buffer.size();
  return in_file(open, [&]() -> Result<std::string_view> {
    if (!std::exchange(given, true)) return std::string_view(buffer);
    auto piece = next();
    if (piece) bytes += piece->size();
    if (!fits(key, bytes, limits)) return std::unexpected(no_room(key, limits));
    return piece;
  });
}

}  // namespace sluice::localcache
