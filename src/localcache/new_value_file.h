// NewValueFile: a large value on its way to the disk.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "localcache/files.h"
#include "localcache/value_file.h"

namespace sluice::localcache {

// A value on its way into a folder of values. While it is written it has no name, and goes with its
// writer; where the file system cannot do that, it has a temporary one that begins with "new-". It
// is locked, so that one whose writer is dead can be told. The destructor deletes it, under
// whatever name, unless `keep` was called.
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
  bool unnamed_ = false;
  bool published_ = false;
  bool kept_ = false;
};

}  // namespace sluice::localcache
