#include "bulk/failure_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/descriptor.h"
#include "base/json_text.h"
#include "bulk/entry_writer.h"

namespace sluice::bulk {

namespace {
constexpr std::size_t kMostReasons = 100;
}

FailureFile::FailureFile(std::string path, std::uint64_t bytes)
    : path_(std::move(path)), bytes_(bytes) {
  struct stat status{};
  const bool exists = !path_.empty() && ::stat(path_.c_str(), &status) == 0;
  bytes_ = exists ? std::min(bytes_, static_cast<std::uint64_t>(status.st_size)) : 0;
}

FailureFile::~FailureFile() {
  if (file_ >= 0) ::close(file_);
}

Result<> FailureFile::append(const std::vector<FailedKey>& keys) {
  if (keys.empty()) return {};
  std::string lines;
  for (const FailedKey& failed : keys) {
    const auto reason = reasons_.find(failed.error.message);
    if (reason != reasons_.end()) {
      ++reason->second;
    } else {
      ++reasons_[reasons_.size() < kMostReasons ? failed.error.message : "other reasons"];
    }
    lines += '{';
    append_key_field(failed.key, lines);
    lines += ",\"code\":";
    append_json_string(lines, name(failed.error.code));
    lines += ",\"error\":";
    append_json_string(lines, failed.error.message);
    lines += "}\n";
  }
  if (path_.empty()) return {};
  if (file_ < 0) {
    file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file_ < 0) return std::unexpected(system_error(errno, fmt::format("create {}", path_)));
    if (auto cut = cut_off_the_rest(); !cut) return cut;
  }
  if (auto written = write_all(file_, path_, lines); !written) return written;
  bytes_ += lines.size();
  return {};
}

Result<> FailureFile::cut_off_the_rest() {
  if (!path_.empty() && ::truncate(path_.c_str(), static_cast<off_t>(bytes_)) != 0 &&
      errno != ENOENT && errno != EINVAL) {
    return std::unexpected(system_error(errno, fmt::format("cut {}", path_)));
  }
  return {};
}

Result<> FailureFile::sync() {
  if (file_ >= 0 && ::fdatasync(file_) != 0) {
    return std::unexpected(system_error(errno, fmt::format("sync {}", path_)));
  }
  return {};
}

std::vector<FailureReason> FailureFile::reasons() const {
  std::vector<FailureReason> list;
  list.reserve(reasons_.size());
  for (const auto& [message, keys] : reasons_) list.push_back({message, keys});
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
    return a.keys != b.keys ? a.keys > b.keys : a.message < b.message;
  });
  return list;
}

}  // namespace sluice::bulk
