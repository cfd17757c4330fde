#include "keys_argument.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/descriptor.h"
#include "bulk/entry_writer.h"

namespace sluice::cli {

Result<KeysArgument> KeysArgument::make(std::span<const std::string> keys,
                                        bulk::Selection& selection) {
  if (selection.keys_file || selection.all) {
    return fail(ErrorCode::invalid_argument, "keys were named: leave out {}",
                selection.all ? "--all-keys" : "--keys-file");
  }
  const int file = ::memfd_create("keys", MFD_CLOEXEC);
  if (file < 0) return std::unexpected(system_error(errno, "keep the keys in memory"));
  KeysArgument argument(file);
  bulk::EntryWriter writer({.format = bulk::Format::keys, .nul = true});
  std::string text;
  std::unordered_set<std::string_view> named;
  for (const std::string& key : keys) {
    if (key.empty())
      return fail(ErrorCode::invalid_argument, "a key is empty: keys have at least one byte");
    if (named.insert(key).second) writer.append({.key = key}, text);
  }
  if (auto written = write_all(file, "the keys", text); !written) {
    return std::unexpected(written.error());
  }
  selection.keys_file = fmt::format("/proc/self/fd/{}", file);
  selection.keys_end_in_nul = true;
  return argument;
}

KeysArgument::KeysArgument(KeysArgument&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

KeysArgument::~KeysArgument() {
  if (file_ >= 0) ::close(file_);
}

}  // namespace sluice::cli
