// What can be purged from a cache, checked and written as Cloudflare takes it. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sluice::cdn {

enum class PurgeKind : std::uint8_t { everything, files, tags, hosts, prefixes };

[[nodiscard]] std::string_view name(PurgeKind kind);      // "files"
[[nodiscard]] std::string_view singular(PurgeKind kind);  // "file"
// What one item is called in a list of them, where nothing else is said: "url", "tag", "host",
// "prefix".
[[nodiscard]] std::string_view column_of(PurgeKind kind);

// "cf-device-type", "mobile": a request header that tells the variants of a file apart.
using FileHeader = std::pair<std::string, std::string>;
// Takes "CF-Device-Type: mobile" apart.
Result<FileHeader> parse_file_header(std::string_view text);

// The item as it is sent, so that two that mean the same are the same text; or why it cannot be
// one (invalid_argument):
//  - files: an absolute URL with http or https and without a user; or, as JSON, an object
//    {"url":…,"headers":{…}}, which stays one (headers in the order of their names, `headers`
//    added where it does not have them) unless it has no headers.
//  - tags: 1 to 1024 bytes of printable ASCII without a space or a comma.
//  - hosts: a host name, without scheme, port or path; becomes lower case.
//  - prefixes: a host name with a path (or without), without scheme, query or fragment.
Result<std::string> checked_item(PurgeKind kind, std::string_view text,
                                 std::span<const FileHeader> headers = {});

// Splits "a,b": what a comma cannot be a part of. Without empty parts and the spaces around them.
[[nodiscard]] std::vector<std::string_view> split_list(std::string_view text);

// The host that a checked item (not a tag) is about, in lower case and without a port.
[[nodiscard]] std::string host_of(PurgeKind kind, std::string_view item);

// The body of a request that purges checked items, or everything.
[[nodiscard]] std::string purge_body(PurgeKind kind, std::span<const std::string_view> items);

}  // namespace sluice::cdn
