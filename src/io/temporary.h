// TemporaryFolder: files that go with the object that made them.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::io {

// A new folder that only this user may enter (0700), removed with all that is in it when the object
// goes; a process that is killed leaves it behind. What is made in it needs no name of its own that
// nobody could guess, and may have other files beside it, as a database has. Blocks as long as a
// disk takes.
class TemporaryFolder {
 public:
  // "sluice-WHAT-…" in `parent`; empty: in $TMPDIR, or else in /tmp.
  static Result<TemporaryFolder> create(std::string_view what, const std::string& parent = {});
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&& other) noexcept;
  ~TemporaryFolder();

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  void remove() const;
  std::string path_;  // empty: moved from
};

}  // namespace sluice::io
