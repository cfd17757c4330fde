// Opening, replacing and mapping the file of Statistics.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "localcache/files.h"
#include "localcache/statistics.h"
#include "localcache/statistics_memory.h"

namespace sluice::localcache {

namespace {

// That it can be what we wrote: what was torn by killed processes is less than this.
bool is_plausible(Statistics::Memory& memory) {
  constexpr std::uint64_t kTorn = 1000;
  if (atomic(memory.magic).load(kRelaxed) != kStatisticsMagic ||
      atomic(memory.size).load(kRelaxed) != sizeof memory) {
    return false;
  }
  for (std::size_t i = 0; i < kOperations; ++i) {
    TimedOperation& operation = memory.operations[i];
    const std::uint64_t count = atomic(operation.count).load(kRelaxed);
    std::uint64_t sum = 0;
    for (std::uint64_t& bucket : operation.buckets) sum += atomic(bucket).load(kRelaxed);
    if ((count > sum ? count - sum : sum - count) > kTorn + count / 100) return false;
  }
  return true;
}

struct Mapped {
  Statistics::Memory* memory = nullptr;
  bool damaged = false;
};

Mapped map(int file, bool writable) {
  struct stat status{};
  if (::fstat(file, &status) != 0) return {};
  if (status.st_size != static_cast<off_t>(sizeof(Statistics::Memory))) return {.damaged = true};
  // A copy that left holes, which a write may find no room for: that kills.
  if (writable && status.st_blocks * 512 < status.st_size &&
      ::fallocate(file, 0, 0, status.st_size) != 0 && errno == ENOSPC) {
    return {};
  }
  void* const at = ::mmap(nullptr, sizeof(Statistics::Memory),
                          writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file, 0);
  if (at == MAP_FAILED) return {};
  auto* const memory = static_cast<Statistics::Memory*>(at);
  if (is_plausible(*memory)) return {.memory = memory};
  ::munmap(at, sizeof(Statistics::Memory));
  return {.damaged = true};
}

// Writes an empty file beside `path` and puts it there: in place of what is there, or only if
// nothing is.
Result<> put_empty(const std::string& path, unsigned mode, bool replace) {
  const std::string temporary = path + ".new-" + random_name();
  const auto folder = open_folder(path.substr(0, path.rfind('/')));
  if (!folder) return std::unexpected(folder.error());
  // One without a name can only be put where there is nothing.
  Descriptor file = replace ? Descriptor() : make_unnamed_file(folder->get(), mode);
  const bool unnamed = static_cast<bool>(file);
  if (!file) file = open_file(temporary, O_RDWR | O_CREAT | O_EXCL, mode);
  if (!file) return std::unexpected(system_error(errno, fmt::format("make {}", temporary)));
  struct Header {
    std::uint64_t magic = kStatisticsMagic;
    std::uint64_t size = sizeof(Statistics::Memory);
    std::int64_t since = now_milliseconds();
  };
  const Header header;
  // Really there, not a hole: writing into a hole of a mapped file on a full disk kills.
  errno = ::posix_fallocate(file.get(), 0, sizeof(Statistics::Memory));
  int reason = errno;
  if (reason == 0) {
    auto written = write_all_at(file.get(), temporary,
                                {reinterpret_cast<const char*>(&header), sizeof header}, 0);
    if (!written) {
      if (!unnamed) ::unlink(temporary.c_str());
      return written;
    }
    const bool put = unnamed
                         ? name_file(file.get(), folder->get(), path.substr(path.rfind('/') + 1))
                     : replace ? ::rename(temporary.c_str(), path.c_str()) == 0
                               : ::link(temporary.c_str(), path.c_str()) == 0;
    reason = put || errno == EEXIST ? 0 : errno;
  }
  if (!unnamed) ::unlink(temporary.c_str());
  if (reason != 0) return std::unexpected(system_error(reason, fmt::format("make {}", path)));
  return {};
}

bool is_still_at(int file, const std::string& path) {
  struct stat ours{};
  struct stat there{};
  return ::fstat(file, &ours) == 0 && ::stat(path.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

}  // namespace

Result<Statistics::Opened> Statistics::open(const std::string& path, unsigned mode) {
  bool replaced = false;
  // Each turn ends with a file that is whole, unless others damage it as fast as it is replaced.
  for (int turn = 0; turn < 10; ++turn) {
    const Descriptor file = open_file(path, O_RDWR | O_NONBLOCK);
    if (!file) {
      if (errno != ENOENT)
        return std::unexpected(system_error(errno, fmt::format("open {}", path)));
      if (auto made = put_empty(path, mode, false); !made) return std::unexpected(made.error());
      continue;
    }
    const Mapped mapped = map(file.get(), true);
    if (mapped.memory != nullptr) {
      return Opened{std::unique_ptr<Statistics>(new Statistics(*mapped.memory)), replaced};
    }
    if (!mapped.damaged) return std::unexpected(system_error(errno, fmt::format("map {}", path)));
    // One replaces it; whoever waited for that finds another file there.
    if (auto locked = wait_for_lock(file.get(), RangeLock::exclusive); !locked) {
      return std::unexpected(locked.error());
    }
    if (!is_still_at(file.get(), path)) continue;
    if (auto made = put_empty(path, mode, true); !made) return std::unexpected(made.error());
    replaced = true;
  }
  return fail(ErrorCode::corrupt, "{} is damaged again and again. Remove it.", path);
}

Result<StatisticsView> Statistics::read(const std::string& path) {
  // A pipe in its place is not waited for.
  const Descriptor file = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!file) {
    if (errno == ENOENT) return fail(ErrorCode::not_found, "there are no statistics at {}.", path);
    return std::unexpected(system_error(errno, fmt::format("open {}", path)));
  }
  const Mapped mapped = map(file.get(), false);
  if (mapped.memory == nullptr) {
    return fail(ErrorCode::corrupt,
                "the statistics in {} are damaged. The next write begins them anew.", path);
  }
  const Statistics statistics(*mapped.memory);
  return statistics.view();
}

Statistics::~Statistics() {
  ::munmap(static_cast<void*>(memory_), sizeof(Memory));
}

}  // namespace sluice::localcache
