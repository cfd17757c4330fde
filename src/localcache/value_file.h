// Values that are too large for the database: a file each.
//
// A value file is a header of 40 bytes and the stored bytes, as given or compressed. Numbers are
// little-endian:
//
//   0  "SLCVALUE"      8  version (1)      12  form (see Form)
//   16 bytes of the value as given         24  bytes stored        32  XXH3 of the bytes stored
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "localcache/content.h"
#include "localcache/entry.h"
#include "localcache/files.h"

namespace sluice::localcache {

inline constexpr std::size_t kValueFileHeader = 40;

struct ValueFileHeader {
  std::uint32_t form = 0;
  std::uint64_t value_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t stored_hash = 0;
};
// Fails with `corrupt` for anything else than a header of this version.
Result<ValueFileHeader> parse_value_file_header(std::string_view bytes);
std::string format_value_file_header(const ValueFileHeader& header);

// What the name of a value begins with, as long as it is being written.
inline constexpr std::string_view kTemporaryValueFile = "new-";

// Whether it is a name that `publish` gives: 16 hexadecimal digits. Nothing else is read or deleted
// in a folder of values.
[[nodiscard]] bool is_value_file_name(std::string_view name);

// Deletes a value file. False: there is none, or the name is not one.
bool remove_value_file(int folder, const std::string& name);

// Reads the value file `name` in `folder`. Nothing if there is none (it may have been replaced
// meanwhile); `corrupt` if it is not what `accept` (given its header) wants, or its content is not
// what its header says. All of the content is read and checked before this returns.
Result<std::optional<Value>> read_value_file(
    const std::string& folder, const std::string& name,
    const std::function<bool(const ValueFileHeader&)>& accept);

// The files in a folder of values: names of values, and temporary ones whose writer is dead. What
// has another name is not the cache's, and is left out.
struct ValueFiles {
  std::vector<std::string> values;
  std::vector<std::string> abandoned;
};
// `remove_abandoned`: those are deleted on the way.
Result<ValueFiles> list_value_files(const std::string& folder, bool remove_abandoned);

}  // namespace sluice::localcache
