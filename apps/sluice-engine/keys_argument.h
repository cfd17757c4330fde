// KeysArgument: keys on the command line, as the file of keys that the selection takes.
#pragma once

#include <span>
#include <string>

#include "base/error.h"
#include "bulk/selection.h"

namespace sluice::cli {

// Holds the keys in a file without a name (a memfd), and points the selection at it, so that keys
// from the command line pass the same way as those of --keys-file. A key that is named twice is one
// key. Keep it as long as the selection
// is used.
class KeysArgument {
 public:
  // Refuses --keys-file beside keys, and --all.
  static Result<KeysArgument> make(std::span<const std::string> keys, bulk::Selection& selection);
  KeysArgument(KeysArgument&& other) noexcept;
  KeysArgument& operator=(KeysArgument&&) = delete;
  ~KeysArgument();

 private:
  explicit KeysArgument(int file) : file_(file) {}
  int file_;
};

}  // namespace sluice::cli
