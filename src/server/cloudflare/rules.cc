#include "server/cloudflare/rules.h"

#include "base/utf8.h"
#include "server/cloudflare/text.h"

namespace sluice::server::cloudflare {

namespace {

// 9999-12-31T23:59:59Z. What lies beyond is nearly always a time in milliseconds.
constexpr std::int64_t kLatest = 253'402'300'799;

// Metadata that is longer than this is not looked at: no white space explains it.
constexpr std::size_t kMostMetadataText = std::size_t{64} << 10;

template <class... Args>
std::unexpected<Refused> refused(int status, Code code, fmt::format_string<Args...> format,
                                 Args&&... args) {
  return std::unexpected(Refused{status, code, fmt::format(format, std::forward<Args>(args)...)});
}

std::unexpected<Refused> metadata_too_large() {
  return refused(413, Code::too_large, "metadata is larger than {} bytes", kMetadataBytes);
}

}  // namespace

Checked<> check_key(std::string_view key) {
  if (key.empty()) return refused(400, Code::bad_key, "key names cannot be empty");
  if (key == "." || key == "..") {
    return refused(400, Code::bad_key, "key names cannot be '.' or '..'");
  }
  if (key.size() > kKeyBytes) {
    return refused(400, Code::bad_key, "key length of {} exceeds limit of {}", key.size(),
                   kKeyBytes);
  }
  if (!is_utf8(key)) return refused(400, Code::bad_key, "key names must be UTF-8");
  return {};
}

Checked<> check_value_size(std::size_t bytes) {
  if (bytes <= kValueBytes) return {};
  return refused(413, Code::too_large, "value length of {} exceeds limit of {}", bytes,
                 kValueBytes);
}

Checked<std::string_view> check_metadata(std::string_view json, std::string& compact) {
  if (json.size() > kMostMetadataText) return metadata_too_large();
  if (!is_json(json)) return refused(400, Code::bad_metadata, "metadata must be valid json");
  const std::size_t first = json.find_first_not_of(" \t\r\n");
  const std::size_t last = json.find_last_not_of(" \t\r\n");
  return check_metadata_size(json.substr(first, last - first + 1), compact);
}

Checked<std::string_view> check_metadata_size(std::string_view json, std::string& compact) {
  if (json == "null") return std::string_view();
  if (json.size() <= kMetadataBytes) return json;
  if (json.size() > kMostMetadataText) return metadata_too_large();
  compact = without_space(json);
  if (compact.size() > kMetadataBytes) return metadata_too_large();
  return compact;
}

Checked<std::int64_t> check_expiration(std::optional<std::int64_t> moment,
                                       std::optional<std::int64_t> ttl, std::int64_t now) {
  if (ttl) {
    if (*ttl < kLeastTtl || *ttl > kLatest - now) {
      return refused(400, Code::bad_expiration,
                     "Invalid expiration_ttl of {}. Expiration TTL must be at least {}.", *ttl,
                     kLeastTtl);
    }
    return now + *ttl;
  }
  if (!moment) return 0;
  if (*moment < now + kLeastTtl || *moment > kLatest) {
    return refused(400, Code::bad_expiration,
                   "Invalid expiration of {}. Expiration times must be at least {} seconds in the "
                   "future, in seconds since 1970.",
                   *moment, kLeastTtl);
  }
  return *moment;
}

Checked<> check_count(std::size_t count, std::size_t most, std::string_view what) {
  if (count <= most) return {};
  return refused(400, Code::too_many, "received {} {}, but max allowed per request is: {}", count,
                 what, most);
}

}  // namespace sluice::server::cloudflare
