// What the tests of this room share: a folder, a clock, and children to be killed.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "localcache/cache.h"

namespace sluice::localcache {

class CacheFixture : public testing::Test {
 protected:
  CacheFixture() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-cache-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    location_.root = (folder_ / "cache").string();
    options_.now = [this] { return now_; };
  }
  ~CacheFixture() override { std::filesystem::remove_all(folder_); }

  Cache open() { return open(options_); }
  Cache open(const OpenOptions& options) {
    auto cache = Cache::open(location_, options);
    if (!cache) throw std::runtime_error(cache.error().message);
    return std::move(*cache);
  }
  // The value of a key, or "(none)", or the error's message in parentheses.
  static std::string get(Cache& cache, std::string_view key, const GetOptions& options = {}) {
    auto entry = cache.get(key, options);
    if (!entry) return "(" + entry.error().message + ")";
    if (!*entry) return "(none)";
    auto value = (*entry)->value.rest();
    return value ? *value : "(" + value.error().message + ")";
  }
  static std::vector<std::string> keys(Cache& cache, const Selector& selector = {}) {
    std::vector<std::string> found;
    const auto listed = cache.list(selector, [&](const EntryInfo& info) {
      found.push_back(info.key);
      return true;
    });
    EXPECT_TRUE(listed) << listed.error().message;
    return found;
  }
  static void expect_clean(Cache& cache) {
    const auto verified = cache.verify();
    ASSERT_TRUE(verified) << verified.error().message;
    for (const Problem& problem : verified->problems) ADD_FAILURE() << problem.text;
    const auto size = cache.size();
    ASSERT_TRUE(size);
    EXPECT_EQ(size->entries, verified->entries);
    EXPECT_EQ(size->bytes, verified->bytes);
  }
  [[nodiscard]] std::vector<std::string> value_files() const {
    std::vector<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(location_.values())) {
      names.push_back(file.path().filename().string());
    }
    return names;
  }

  std::filesystem::path folder_;
  Location location_;
  TimePoint now_{std::chrono::seconds(1'700'000'000)};
  OpenOptions options_;
};

// Runs `body` in a process of its own, which ends with what it returns. Nothing that the parent has
// open may be used there.
inline pid_t run_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    int code = 99;
    try {
      code = body();
    } catch (...) {
    }
    std::_Exit(code);
  }
  return child;
}

inline int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Bytes that do not compress, the same for the same number.
inline std::string random_bytes(std::size_t size, std::uint64_t seed) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    byte = static_cast<char>(seed >> 56);
  }
  return bytes;
}

}  // namespace sluice::localcache
