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

// A value on its way into a folder of values. It is written under a temporary name that begins with
// "new-", and is locked while it is written, so that one whose writer is dead can be told. The
// destructor deletes it, under whatever name, unless `keep` was called.
class NewValueFile {
 public:
  // Takes everything that `next` gives. `sync`: it is on the disk when this returns.
  static Result<NewValueFile> write(const std::string& folder, unsigned mode,
                                    const std::function<Result<std::string_view>()>& next,
                                    bool sync);
  NewValueFile(NewValueFile&& other) noexcept;
  NewValueFile& operator=(NewValueFile&&) = delete;
  ~NewValueFile();

  // Gives it the name that the entry will hold.
  Result<> publish();
  // The transaction that holds its name was committed.
  void keep() { kept_ = true; }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const ValueFileHeader& header() const { return header_; }
  [[nodiscard]] std::uint64_t file_bytes() const { return kValueFileHeader + header_.stored_bytes; }

 private:
  NewValueFile() = default;
  // Makes the temporary file. False: whoever clears up took it for an abandoned one.
  Result<bool> make(unsigned mode);
  [[nodiscard]] std::string temporary_name() const;
  [[nodiscard]] std::string temporary_path() const;
  std::string folder_path_;
  Descriptor folder_;
  std::string name_;  // the final one
  Descriptor file_;
  ValueFileHeader header_;
  bool published_ = false;
  bool kept_ = false;
};

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
