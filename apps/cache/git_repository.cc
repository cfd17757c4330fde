#include "git_repository.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "base/descriptor.h"

namespace sluice::cache_cli {

namespace {

bool exists(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0;
}

std::string trimmed(std::string text) {
  while (!text.empty() && std::string_view(" \t\r\n").contains(text.back())) text.pop_back();
  return text;
}

// ".git" is a folder, or a file that names one ("gitdir: …": work trees and submodules).
std::optional<std::string> git_dir_at(const std::string& path) {
  if (exists(path + "/HEAD")) return path;
  const auto text = read_git_file(path);
  constexpr std::string_view before = "gitdir: ";
  if (!text || !text->starts_with(before)) return std::nullopt;
  return path_from(folder_of(path), trimmed(text->substr(before.size())));
}

}  // namespace

std::optional<GitRepository> find_git_repository(const std::string& folder,
                                                 const Getenv& environment) {
  GitRepository repository;
  if (const auto named = environment("GIT_DIR"); named && !named->empty()) {
    repository = {.folder = folder, .git_dir = path_from(folder, *named), .named = true};
  }
  for (std::string at = folder; repository.git_dir.empty(); at = folder_of(at)) {
    if (const auto found = git_dir_at(at == "/" ? "/.git" : at + "/.git")) {
      repository = {.folder = at, .git_dir = *found};
    } else if (at == "/" || at == ".") {
      return std::nullopt;
    }
  }
  repository.common_dir = repository.git_dir;
  if (const auto common = read_git_file(repository.git_dir + "/commondir")) {
    repository.common_dir = path_from(repository.git_dir, trimmed(*common));
  }
  return repository;
}

bool is_ours(const GitRepository& repository, const Getenv& environment) {
  if (repository.named) return true;
  const uid_t self = ::geteuid();
  // As git: who has become root by sudo may still believe what is their own.
  std::optional<uid_t> before;
  if (const auto text = self == 0 ? environment("SUDO_UID") : std::nullopt) {
    uid_t user = 0;
    const auto read = std::from_chars(text->data(), text->data() + text->size(), user);
    if (read.ec == std::errc() && read.ptr == text->data() + text->size()) before = user;
  }
  for (const std::string& path :
       {repository.folder, repository.folder + "/.git", repository.git_dir}) {
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) return false;
    if (status.st_uid != self && status.st_uid != before) return false;
  }
  return true;
}

std::optional<std::string> read_git_file(const std::string& path) {
  constexpr std::size_t kMost = std::size_t{1} << 20;
  // Neither a pipe, which would be waited for, nor what the caller gives us on stdin.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  std::string text;
  std::array<char, 4096> piece;
  ssize_t got = 0;
  while (text.size() <= kMost && (got = ::read(file.get(), piece.data(), piece.size())) > 0) {
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
  if (got < 0 || text.size() > kMost) return std::nullopt;
  return text;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash == 0 ? 1 : slash);
}

std::string path_from(const std::string& folder, const std::string& path) {
  return path.starts_with('/') ? path : folder + "/" + path;
}

}  // namespace sluice::cache_cli
