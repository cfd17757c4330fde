#include "localcache/holder_record.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>

#include "localcache/process.h"

namespace sluice::localcache {

namespace {

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "?";
  return name.data();
}

}  // namespace

std::string format_holder(const LockHolder& holder, std::uint64_t process_start) {
  // A NUL cannot be in the parts, since they end with one.
  const auto clean = [](std::string_view text, std::size_t most) {
    std::string out(text.substr(0, most));
    std::ranges::replace(out, '\0', ' ');
    return out;
  };
  std::string bytes = fmt::format(
      "{}{}{}{}{}{}{}{}", holder.pid, '\0', process_start, '\0', clean(holder.host, 255), '\0',
      std::chrono::floor<std::chrono::seconds>(holder.since.time_since_epoch()).count(), '\0');
  bytes += clean(holder.command, kHolderBytes - bytes.size() - 1);
  bytes += '\0';
  return bytes;
}

std::optional<HolderRecord> parse_holder(std::string_view bytes) {
  std::array<std::string_view, 5> parts;
  for (std::string_view& part : parts) {
    const std::size_t end = bytes.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    part = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
  }
  const auto number = [](std::string_view text, auto& value) {
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    return read.ec == std::errc() && read.ptr == text.data() + text.size();
  };
  HolderRecord record;
  std::int64_t since = 0;
  // Until the year 2261, with which the clock's nanoseconds end.
  constexpr std::int64_t kLatest = 9'214'646'400;
  if (!number(parts[0], record.holder.pid) || record.holder.pid <= 0 ||
      !number(parts[1], record.process_start) || !number(parts[3], since) || since < 0 ||
      since > kLatest) {
    return std::nullopt;
  }
  record.holder.host = parts[2];
  record.holder.since = std::chrono::system_clock::time_point(std::chrono::seconds(since));
  record.holder.command = parts[4];
  return record;
}

HolderRecord this_holder(std::string_view command) {
  const std::int64_t pid = ::getpid();
  return {.holder = {.pid = pid,
                     .host = host_name(),
                     .command = std::string(command),
                     .since = std::chrono::system_clock::now()},
          .process_start = start_of_process(pid)};
}

bool ran_here(const HolderRecord& record) {
  return record.holder.host == host_name();
}

bool is_own_process(const HolderRecord& record) {
  struct stat status{};
  if (!ran_here(record) ||
      ::stat(fmt::format("/proc/{}", record.holder.pid).c_str(), &status) != 0 ||
      status.st_uid != ::geteuid()) {
    return false;
  }
  return record.process_start == 0 || record.process_start == start_of_process(record.holder.pid);
}

bool is_dead(const HolderRecord& record) {
  if (!ran_here(record)) return false;
  if (::kill(static_cast<pid_t>(record.holder.pid), 0) != 0 && errno == ESRCH) return true;
  const std::uint64_t start = start_of_process(record.holder.pid);
  return start != 0 && record.process_start != 0 && start != record.process_start;
}

}  // namespace sluice::localcache
