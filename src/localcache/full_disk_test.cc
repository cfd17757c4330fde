// A file system without a free byte: what frees something must work there.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "localcache/cache_test.h"
#include "sqlite/database.h"

namespace sluice::localcache {
namespace {

constexpr int kCannotMount = 77;

class FullDiskTest : public CacheFixture {
 protected:
  // Runs `body` in a process that has a file system of 8 MB for itself in the cache's folder.
  // Returns its code.
  int on_small_disk(const std::function<int()>& body) {
    std::filesystem::create_directories(location_.root);
    return wait_for(run_child([&] {
      const uid_t user = geteuid();
      if (unshare(CLONE_NEWNS | (user == 0 ? 0 : CLONE_NEWUSER)) != 0 ||
          mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          mount("sluice-test", location_.root.c_str(), "tmpfs", 0, "size=8m") != 0) {
        return kCannotMount;
      }
      return body();
    }));
  }
  // Uses up what is left.
  void use_up() const {
    const int file =
        ::open((location_.root + "/others").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const std::string bytes(4096, 'x');
    while (write(file, bytes.data(), bytes.size()) > 0) {
    }
    ::close(file);
  }
  static std::string key(int i) { return "key " + std::to_string(i); }
  // Entries of which every other expires, and of which every twentieth is in a file, until there is
  // no room. Returns how many.
  int fill() {
    int count = 0;
    {
      Cache cache = open();
      for (;; ++count) {
        SetOptions options;
        if (count % 2 == 0) options.ttl = Milliseconds(1000);
        const auto set = cache.set(
            key(count),
            random_bytes(count % 20 == 0 ? 90'000 : 2000, static_cast<std::uint64_t>(count)),
            options);
        if (set) continue;
        if (set.error().code != ErrorCode::no_space) throw std::runtime_error(set.error().message);
        break;
      }
    }
    use_up();
    return count;
  }
  // As on a file system that several machines use.
  void use_rollback_journal() {
    {
      open();
    }
    auto database = sqlite::Database::open(location_.database());
    if (!database || !database->run("PRAGMA journal_mode=DELETE")) {
      throw std::runtime_error("the journal cannot be changed");
    }
  }
  // What a command does on a namespace that has no room left; "" if all is well.
  void check(const std::function<std::string(Cache& cache, int count)>& command,
             bool with_journal = false) {
    std::string complaint;
    int report[2] = {};
    ASSERT_EQ(pipe(report), 0);
    const int code = on_small_disk([&] {
      const auto say = [&](const std::string& text) {
        return write(report[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 1
                                                                                               : 2;
      };
      try {
        if (with_journal) use_rollback_journal();
        const int count = fill();
        if (count < 200) return say("only " + std::to_string(count) + " were stored");
        {
          Cache cache = open();
          if (cache.set("one more", random_bytes(5000, 1))) return say("it is not full");
        }
        use_up();
        {
          Cache cache = open();
          if (const std::string wrong = command(cache, count); !wrong.empty()) return say(wrong);
        }
        Cache cache = open();
        const auto verified = cache.verify();
        if (!verified) return say(verified.error().message);
        if (verified->problem_count != 0) return say(verified->problems[0].text);
        const auto size = cache.size();
        if (size->entries != verified->entries || size->bytes != verified->bytes) {
          return say("the size is not true");
        }
        if (!std::filesystem::exists(location_.reserve())) return say("the reserve is gone");
        return 0;
      } catch (const std::exception& error) {
        return say(error.what());
      }
    });
    ::close(report[1]);
    char text[1000] = {};
    const ssize_t got = read(report[0], text, sizeof text - 1);
    ::close(report[0]);
    if (code == kCannotMount) GTEST_SKIP() << "this machine lets nobody mount a file system";
    EXPECT_EQ(code, 0) << (got > 0 ? text : "it said nothing");
  }
};

TEST_F(FullDiskTest, OneEntryIsDeleted) {
  check([](Cache& cache, int) -> std::string {
    for (int i = 1; i < 40; i += 2) {
      const auto erased = cache.erase(key(i));
      if (!erased) return erased.error().message;
      if (!*erased) return "it was not there";
      if (get(cache, key(i)) != "(none)") return "it is still there";
    }
    return "";
  });
}

TEST_F(FullDiskTest, TheIndexOfTheLogIsMadeAnew) {
  check([this](Cache& cache, int) -> std::string {
    {
      const Cache closed = std::move(cache);
    }
    std::filesystem::remove(location_.database() + "-shm");
    use_up();
    options_.access = Access::change;
    Cache again = open();
    options_.access = Access::write;
    const auto erased = again.erase(key(1));
    return erased ? "" : erased.error().message;
  });
}

TEST_F(FullDiskTest, ManyEntriesAreDeletedAndCounted) {
  check([](Cache& cache, int count) -> std::string {
    const auto erased = cache.erase_all({.prefix = "key 1"});
    if (!erased) return erased.error().message;
    if (!keys(cache, {.prefix = "key 1"}).empty()) return "some are still there";
    const auto left = cache.size()->entries;
    if (*erased + left != static_cast<std::uint64_t>(count)) {
      return std::to_string(*erased) + " deleted and " + std::to_string(left) + " left of " +
             std::to_string(count);
    }
    if (get(cache, key(3)) != random_bytes(2000, 3)) return "another one is gone";
    return "";
  });
}

TEST_F(FullDiskTest, WhatHasExpiredIsCollected) {
  check([this](Cache& cache, int count) -> std::string {
    now_ += std::chrono::seconds(2);
    const auto collected = cache.gc();
    if (!collected) return collected.error().message;
    if (collected->expired != static_cast<std::uint64_t>((count + 1) / 2)) {
      return std::to_string(collected->expired) + " had expired of " + std::to_string(count);
    }
    if (collected->freed_bytes == 0) return "nothing was freed";
    const auto set = cache.set("new", random_bytes(2000, 1));
    return set ? "" : set.error().message;
  });
}

TEST_F(FullDiskTest, TheLimitIsLowered) {
  check([](Cache& cache, int) -> std::string {
    const auto set = cache.set_limits({.max_bytes = 500'000});
    if (!set) return set.error().message;
    if (cache.size()->bytes > 500'000) return "it does not hold";
    return "";
  });
}

TEST_F(FullDiskTest, DeletesWithTheRollbackJournal) {
  check(
      [this](Cache& cache, int count) -> std::string {
        const auto one = cache.erase(key(1));
        if (!one) return one.error().message;
        const auto many = cache.erase_all({.prefix = "key 2"});
        if (!many) return many.error().message;
        now_ += std::chrono::seconds(2);
        const auto collected = cache.gc();
        if (!collected) return collected.error().message;
        const auto left = cache.size()->entries;
        if (1 + *many + collected->expired + left != static_cast<std::uint64_t>(count)) {
          return "a wrong number";
        }
        const auto cleared = cache.clear();
        return cleared ? "" : cleared.error().message;
      },
      true);
}

TEST_F(FullDiskTest, EverythingIsCleared) {
  check([](Cache& cache, int count) -> std::string {
    const auto cleared = cache.clear();
    if (!cleared) return cleared.error().message;
    if (*cleared != static_cast<std::uint64_t>(count)) return "a wrong number";
    for (int i = 0; i < 20; ++i) {
      const auto set = cache.set(key(i), random_bytes(50'000, 1));
      if (!set) return set.error().message;
    }
    return "";
  });
}

}  // namespace
}  // namespace sluice::localcache
