#include "localcache/location.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "localcache/files.h"

namespace sluice::localcache {

namespace {

constexpr std::size_t kLongestName = 200;  // of the 255 that a file name may have

// One that a group shares: of the group of the folder that it is made in, whether that passes its
// group on by itself or not, and with all its rights from the beginning, whatever the umask is.
Result<> make_group_folder(const std::string& path) {
  const std::string above = path.substr(0, std::max<std::size_t>(1, path.rfind('/')));
  const std::string temporary = fmt::format("{}/.new-{}", above, random_name());
  const auto failed = [&] {
    Error error = system_error(errno, fmt::format("make {}", path));
    ::rmdir(temporary.c_str());
    return std::unexpected(std::move(error));
  };
  struct stat status{};
  if (::stat(above.c_str(), &status) != 0 || ::mkdir(temporary.c_str(), 0700) != 0) return failed();
  const auto folder = open_folder(temporary);
  if (!folder) return std::unexpected(folder.error());
  // Who is not in that group keeps their own.
  static_cast<void>(!::fchown(folder->get(), static_cast<uid_t>(-1), status.st_gid));
  if (::fchmod(folder->get(), 02770) != 0) return failed();
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) {
    return {};
  }
  const int reason = errno;
  ::rmdir(temporary.c_str());
  if (reason == EEXIST) return {};
  // A file system that cannot do that.
  if ((::mkdir(path.c_str(), 02770) == 0 && ::chmod(path.c_str(), 02770) == 0) || errno == EEXIST) {
    return {};
  }
  return failed();
}

Result<> make_folder(const std::string& path, bool for_group) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) == 0) return {};
  if (for_group) return make_group_folder(path);
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return std::unexpected(system_error(errno, fmt::format("make {}", path)));
}

std::unexpected<Error> refuse_link(const std::string& path) {
  return fail(ErrorCode::io,
              "{} is a symbolic link, and the cache does not follow it. Remove it, or name another "
              "namespace.",
              path);
}

std::unexpected<Error> refuse_foreign(const std::string& path) {
  return fail(ErrorCode::io,
              "{} belongs to another user. Name another namespace, or share the cache in a folder "
              "for a group.",
              path);
}

// That it is a folder, not a link to one, and ours unless a group shares it: what is in it is
// written and deleted.
Result<> check_folder(const std::string& path, bool for_group) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) {
    return std::unexpected(system_error(errno, fmt::format("look at {}", path)));
  }
  if (S_ISLNK(status.st_mode)) return refuse_link(path);
  if (!S_ISDIR(status.st_mode)) {
    return fail(ErrorCode::io, "{} is not a folder. Remove it, or name another namespace.", path);
  }
  if (!for_group && status.st_uid != ::geteuid()) return refuse_foreign(path);
  // One that was made by hand, or copied, may let others in. What the group's cache has is chosen.
  if (!for_group && (status.st_mode & 077) != 0) {
    const auto opened = open_folder(path);
    if (!opened) return std::unexpected(opened.error());
    if (::fchmod(opened->get(), 0700) != 0) {
      return std::unexpected(system_error(errno, fmt::format("make {} private", path)));
    }
  }
  return {};
}

// The root and all above it, in the same way: those above a private cache are private, too, as the
// XDG specification asks, and those above a group's let the group in.
Result<> make_parents(const std::string& path, bool for_group) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return {};
    return fail(ErrorCode::io, "{} is not a folder. Name another one.", path);
  }
  const std::size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) {
    if (auto made = make_parents(path.substr(0, slash), for_group); !made) return made;
  }
  return make_folder(path, for_group);
}

}  // namespace

Result<std::string> default_root(std::string_view cache_home, std::string_view home) {
  if (cache_home.starts_with('/')) return fmt::format("{}/sluice/cache", cache_home);
  if (home.starts_with('/')) return fmt::format("{}/.cache/sluice/cache", home);
  return fail(
      ErrorCode::invalid_argument,
      "there is no place for the cache: neither XDG_CACHE_HOME nor HOME is an absolute path. "
      "Set one of them, or name a folder with --dir.");
}

Result<> check_namespace(std::string_view name) {
  const auto refuse = [&](std::string_view reason) {
    return fail(ErrorCode::invalid_argument,
                "the cache namespace \"{}\" {}. Name one of 1 to {} bytes without a slash, a "
                "control character, or a dot at its beginning.",
                name.size() > kLongestName ? name.substr(0, 32) : name, reason, kLongestName);
  };
  if (name.empty()) return refuse("is empty");
  if (name.size() > kLongestName) return refuse("is too long");
  if (name.front() == '.') return refuse("begins with a dot");
  for (const char c : name) {
    if (c == '/') return refuse("holds a slash");
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return fail(ErrorCode::invalid_argument,
                  "the cache namespace holds a control character. Name one without.");
    }
  }
  return {};
}

Result<> make_folders(const Location& location) {
  if (!location.root.starts_with('/')) {
    return fail(ErrorCode::invalid_argument,
                "{} is not an absolute path. Name the cache's folder by one.", location.root);
  }
  if (auto checked = check_namespace(location.name); !checked) return checked;
  if (auto made = make_parents(location.root, location.for_group); !made) {
    std::string& message = made.error().message;
    if (!message.ends_with('.')) message += '.';
    message += " Name another folder with --dir or XDG_CACHE_HOME.";
    return made;
  }
  const std::string folder = location.folder();
  if (auto made = make_folder(folder, location.for_group); !made) return made;
  if (auto checked = check_folder(folder, location.for_group); !checked) return checked;
  for (const std::string& inner : {location.values(), location.locks()}) {
    if (auto made = make_folder(inner, location.for_group); !made) return made;
    if (auto checked = check_folder(inner, location.for_group); !checked) return checked;
  }
  return {};
}

Result<> check_readable(const Location& location) {
  const std::string folder = location.folder();
  struct stat status{};
  if (::lstat(folder.c_str(), &status) != 0) return {};
  if (S_ISLNK(status.st_mode)) return refuse_link(folder);
  // Root's may be given to all to read.
  if (!location.for_group && status.st_uid != ::geteuid() && status.st_uid != 0) {
    return refuse_foreign(folder);
  }
  return {};
}

Result<std::vector<std::string>> list_namespaces(const std::string& root) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(root.c_str()), ::closedir);
  if (folder == nullptr) {
    if (errno == ENOENT) return names;
    return std::unexpected(system_error(errno, fmt::format("read {}", root)));
  }
  while (const dirent* const entry = ::readdir(folder.get())) {
    const Location location{.root = root, .name = entry->d_name};
    if (check_namespace(location.name) && ::access(location.database().c_str(), F_OK) == 0) {
      names.push_back(location.name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool on_network_file_system(const std::string& path) {
  struct statfs status{};
  std::string existing = path;
  while (::statfs(existing.c_str(), &status) != 0) {
    const std::size_t slash = existing.rfind('/');
    if (slash == std::string::npos || slash == 0) return false;
    existing.resize(slash);
  }
  // statfs(2) and linux/magic.h: NFS, SMB, CIFS, SMB2, 9P, AFS (two), Ceph, Coda, FUSE, Lustre,
  // GFS2, OCFS2, vboxsf.
  constexpr std::array<std::uint32_t, 14> kNetwork = {
      0x6969,     0x517b,     0xff534d42, 0xfe534d42, 0x01021997, 0x5346414f, 0x6b414653,
      0x00c36400, 0x73757245, 0x65735546, 0x0bd00bd0, 0x01161970, 0x7461636f, 0x786f4256};
  return std::ranges::find(kNetwork, static_cast<std::uint32_t>(status.f_type)) != kNetwork.end();
}

}  // namespace sluice::localcache
