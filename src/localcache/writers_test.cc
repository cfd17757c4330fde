// Many processes write to one namespace, and some are killed: what is there is whole, and counted.
#include <algorithm>
#include <cstdlib>
#include <random>
#include <thread>

#include "localcache/cache_test.h"

namespace sluice::localcache {
namespace {

class WritersTest : public CacheFixture {
 protected:
  WritersTest() { options_.now = nullptr; }

  // A value that tells by itself whether it is whole: its length, a hash, and bytes.
  static std::string made_up(std::mt19937_64& random) {
    const std::uint64_t kind = random() % 20;
    const std::size_t size = kind == 0   ? 100'000 + random() % 200'000  // in a file
                             : kind <= 3 ? 2000 + random() % 30'000
                                         : random() % 900;
    std::string body = kind % 2 == 0 ? random_bytes(size, random())
                                     : std::string(size, static_cast<char>('a' + kind));
    return std::to_string(body.size()) + ' ' + std::to_string(std::hash<std::string>()(body)) +
           '\n' + body;
  }
  static bool is_whole(const std::string& value) {
    const std::size_t line = value.find('\n');
    if (line == std::string::npos) return false;
    const std::string body = value.substr(line + 1);
    return value.substr(0, line) ==
           std::to_string(body.size()) + ' ' + std::to_string(std::hash<std::string>()(body));
  }
  // Does something to a cache, for ever. Ends with a code when it has seen what must not be.
  int live(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Cache cache = open();
    for (;;) {
      const std::string key = "key " + std::to_string(random() % 200);
      const std::uint64_t what = random() % 20;
      if (what < 9) {
        const std::string value = made_up(random);
        const auto done =
            cache.set(key, value, {.ttl = Milliseconds(1 + random() % 2000), .tags = {"t" + key}});
        if (!done) return complain(done.error());
      } else if (what < 16) {
        auto entry = cache.get(key, {.stale_ok = what == 9});
        if (!entry) return complain(entry.error());
        if (!*entry) continue;
        const auto value = (*entry)->value.rest();
        if (!value) return complain(value.error());
        if (!is_whole(*value)) return 2;
      } else if (what == 16) {
        const auto done = cache.erase(key);
        if (!done) return complain(done.error());
      } else if (what == 17) {
        const std::string one = made_up(random);
        const std::string two = made_up(random);
        const std::string second = key + " too";
        const std::vector<Operation> batch = {
            {.kind = Operation::Kind::set, .key = key, .value = one},
            {.kind = Operation::Kind::set, .key = second, .value = two},
            {.kind = Operation::Kind::get, .key = key}};
        const auto done = cache.batch(batch);
        if (!done) return complain(done.error());
      } else if (what == 18) {
        const auto once = Cache::get_once(location_, key);
        if (!once) return complain(once.error());
      } else if (random() % 50 == 0) {
        const auto done = cache.gc();
        if (!done) return complain(done.error());
      } else {
        cache = open();
      }
    }
  }
  static int complain(const Error& error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    return 1;
  }
};

TEST_F(WritersTest, EightProcessesAreCountedExactly) {
  constexpr int kProcesses = 8;
  constexpr int kEach = 500;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.push_back(run_child([&, i] {
      Cache cache = open();
      for (int n = 0; n < kEach; ++n) {
        const std::string key =
            "process " + std::to_string(i) + " entry " + std::to_string(1000 + n);
        const auto done = cache.set(key, random_bytes(1000, static_cast<std::uint64_t>(n)));
        if (!done) return complain(done.error());
      }
      return 0;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
  Cache cache = open();
  const auto size = cache.size();
  ASSERT_TRUE(size);
  EXPECT_EQ(size->entries, kProcesses * kEach);
  EXPECT_EQ(size->bytes, kProcesses * kEach * (1000 + std::string("process 0 entry 1000").size()));
  expect_clean(cache);
}

// SLUICE_KILL_ROUNDS=100 for a longer look.
TEST_F(WritersTest, KillsLeaveItWholeAndCounted) {
  const char* const asked = std::getenv("SLUICE_KILL_ROUNDS");
  const int rounds = asked != nullptr ? std::atoi(asked) : 20;
  options_.limits = {.max_bytes = 1'500'000};
  std::mt19937_64 random(7);
  for (int round = 0; round < rounds; ++round) {
    std::vector<pid_t> children;
    for (int i = 0; i < 8; ++i) {
      const std::uint64_t seed = random();
      children.push_back(run_child([&, seed] { return live(seed); }));
    }
    // One after the other, each at a moment of its own.
    for (const pid_t child : children) {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 60'000));
      kill(child, SIGKILL);
    }
    for (const pid_t child : children) {
      EXPECT_EQ(wait_for(child), 128 + SIGKILL) << "it saw what must not be";
    }
    Cache cache = open();
    EXPECT_TRUE(cache.notices().empty());
    const auto verified = cache.verify();
    ASSERT_TRUE(verified) << verified.error().message;
    for (const Problem& problem : verified->problems) {
      // A killed writer may leave a file that no entry names, for gc; nothing else.
      EXPECT_EQ(problem.kind, Problem::Kind::orphan_file) << problem.text;
    }
    const auto size = cache.size();
    EXPECT_LE(size->bytes, 1'500'000);
    EXPECT_EQ(size->entries, verified->entries);
    EXPECT_EQ(size->bytes, verified->bytes);
    EXPECT_EQ(cache.count()->bytes, size->bytes);
    ASSERT_TRUE(cache.gc());
    expect_clean(cache);
    ASSERT_FALSE(HasFailure()) << "in round " << round;
  }
}

}  // namespace
}  // namespace sluice::localcache
