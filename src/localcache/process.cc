#include "localcache/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string_view>
#include <vector>

#include "localcache/files.h"

namespace sluice::localcache {

namespace {

// What /proc/PID/stat has from the third field on. The second one is a name in parentheses that may
// hold anything.
std::string fields_of(std::int64_t pid) {
  auto stat = read_file(fmt::format("/proc/{}/stat", pid), 4096);
  if (!stat) return {};
  const std::size_t name_end = stat->rfind(") ");
  if (name_end == std::string::npos) return {};
  return stat->substr(name_end + 2);
}

// The names in a folder that are numbers.
std::vector<std::int64_t> numbers_in(const std::string& folder) {
  std::vector<std::int64_t> numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(folder.c_str()), ::closedir);
  if (entries == nullptr) return numbers;
  while (const dirent* const entry = ::readdir(entries.get())) {
    const std::string_view name = entry->d_name;
    std::int64_t number = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), number);
    if (read.ec == std::errc() && read.ptr == name.data() + name.size()) numbers.push_back(number);
  }
  return numbers;
}

// Whether what /proc/PID/fdinfo/N says lists such a lock that begins at `byte`:
//
//   lock:   1: OFDLCK ADVISORY  WRITE -1 00:2f:1234 1099511627776 1099511627776
bool lists_lock(std::string_view info, std::int64_t byte) {
  const std::string first = fmt::format("{}", byte);
  while (!info.empty()) {
    std::string_view line = info.substr(0, info.find('\n'));
    info.remove_prefix(std::min(info.size(), line.size() + 1));
    if (!line.starts_with("lock:") || !line.contains(" OFDLCK ")) continue;
    const std::size_t last = line.rfind(' ');
    if (last == std::string_view::npos) continue;
    line = line.substr(0, last);
    if (line.substr(line.rfind(' ') + 1) == first) return true;
  }
  return false;
}

}  // namespace

std::uint64_t start_of_process(std::int64_t pid) {
  const std::string fields = fields_of(pid);
  // The 22nd field.
  std::size_t at = 0;
  for (int field = 3; field < 22; ++field) {
    at = fields.find(' ', at);
    if (at == std::string::npos) return 0;
    ++at;
  }
  std::uint64_t start = 0;
  std::from_chars(fields.data() + at, fields.data() + fields.size(), start);
  return start;
}

bool is_stopped(std::int64_t pid) {
  // T: by a signal, t: by a debugger.
  const std::string fields = fields_of(pid);
  return fields.starts_with('T') || fields.starts_with('t');
}

std::string command_of_process(std::int64_t pid) {
  constexpr std::size_t kMost = 200;
  const Descriptor file = open_file(fmt::format("/proc/{}/cmdline", pid), O_RDONLY);
  if (!file) return {};
  std::string words(kMost, '\0');
  const auto got = read_full(file.get(), "/proc/PID/cmdline", words.data(), words.size());
  words.resize(got.value_or(0));
  while (words.ends_with('\0')) words.pop_back();
  std::ranges::replace(words, '\0', ' ');
  return words;
}

bool has_lock(pid_t pid, int file, std::int64_t byte) {
  struct stat wanted{};
  if (::fstat(file, &wanted) != 0) return false;
  return std::ranges::any_of(
      numbers_in(fmt::format("/proc/{}/fdinfo", pid)), [&](std::int64_t descriptor) {
        const auto info = read_file(fmt::format("/proc/{}/fdinfo/{}", pid, descriptor), 1 << 16);
        if (!info || !lists_lock(*info, byte)) return false;
        // Only now, since a file on a server that is gone would keep this waiting.
        struct stat there{};
        return ::stat(fmt::format("/proc/{}/fd/{}", pid, descriptor).c_str(), &there) == 0 &&
               there.st_ino == wanted.st_ino && there.st_dev == wanted.st_dev;
      });
}

std::optional<pid_t> find_lock_owner(int file, std::int64_t byte) {
  for (const std::int64_t pid : numbers_in("/proc")) {
    if (has_lock(static_cast<pid_t>(pid), file, byte)) return static_cast<pid_t>(pid);
  }
  return std::nullopt;
}

}  // namespace sluice::localcache
