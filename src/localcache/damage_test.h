// What the tests of damage share: a filled namespace, and ways to harm it.
#pragma once

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>

#include "localcache/cache_test.h"
#include "sqlite/database.h"

namespace sluice::localcache {

class DamageFixture : public CacheFixture {
 protected:
  // `count` entries, of which every tenth is in a file.
  void fill(int count) {
    Cache cache = open();
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(cache.set(key(i), value(i), {.tags = {i % 2 == 0 ? "even" : "odd"}}));
    }
    ASSERT_TRUE(cache.gc());  // nothing is left in the log
  }
  static std::string key(int i) { return "key " + std::to_string(i); }
  static std::string value(int i) {
    return random_bytes(i % 10 == 0 ? 70'000 : 500, static_cast<std::uint64_t>(i));
  }
  static std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void overwrite(const std::string& path, std::uint64_t position, const std::string& bytes) const {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(position));
    file << bytes;
    ASSERT_TRUE(file.good());
  }
  void run_sql(const std::string& sql) {
    auto database = sqlite::Database::open(location_.database());
    ASSERT_TRUE(database);
    const auto done = database->run(sql);
    ASSERT_TRUE(done) << done.error().message;
  }
  // Whatever is there is right; returns how many that are.
  int expect_right(Cache& cache, int count) {
    int found = 0;
    for (int i = 0; i < count; ++i) {
      auto entry = cache.get(key(i));
      if (!entry) {
        EXPECT_EQ(entry.error().code, ErrorCode::corrupt) << entry.error().message;
      } else if (*entry) {
        const auto got = (*entry)->value.rest();
        EXPECT_TRUE(got && *got == value(i)) << key(i);
        ++found;
      }
    }
    return found;
  }
};

}  // namespace sluice::localcache
