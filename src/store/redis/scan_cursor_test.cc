#include "store/redis/scan_cursor.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace sluice::store::redis {
namespace {

TEST(ScanCursor, ComesBackAsItWas) {
  rc::check([] {
    ScanCursor cursor;
    cursor.run_id = *rc::gen::container<std::string>(rc::gen::inRange('a', 'f'));
    cursor.run_id.resize(std::min<std::size_t>(cursor.run_id.size(), 64));
    cursor.scan = *rc::gen::arbitrary<std::uint64_t>();
    cursor.keys = *rc::gen::arbitrary<std::vector<std::string>>();
    const std::string text = cursor.text();
    if (cursor.scan == 0 && cursor.keys.empty()) {
      RC_ASSERT(text.empty());
      return;
    }
    const auto parsed = ScanCursor::parse(text, "");
    RC_ASSERT(parsed.has_value());
    RC_ASSERT(parsed->run_id == cursor.run_id);
    RC_ASSERT(parsed->scan == cursor.scan);
    RC_ASSERT(parsed->keys == cursor.keys);
    // A part of it is none.
    const auto cut = *rc::gen::inRange<std::size_t>(1, text.size() + 1);
    const auto part = ScanCursor::parse(text.substr(0, text.size() - cut), "");
    const bool smaller = !part || part->keys.size() < cursor.keys.size();
    RC_ASSERT(smaller);
  });
}

TEST(ScanCursor, RefusesWhatItHasNotMade) {
  for (const std::string_view text :
       {"x", "redis1;", "redis1;abc;", "redis1;abc;x;", "redis1;abc;-1;", "redis1;abc;01;",
        "redis1;abc;18446744073709551616;", "redis1;abc;0;", "redis1;abc;5;3:ab", "redis1;abc;5;3",
        "redis1;abc;5;18446744073709551615:a", "redis1;abc;5;03:abc", "redis1;abc;5;:"}) {
    const auto cursor = ScanCursor::parse(text, "");
    ASSERT_FALSE(cursor) << text;
    EXPECT_EQ(cursor.error().code, ErrorCode::invalid_argument) << text;
  }
  EXPECT_TRUE(ScanCursor::parse("redis1;abc;5;2:ab", "a"));
  EXPECT_FALSE(ScanCursor::parse("redis1;abc;5;2:ab", "b")) << "a key of another prefix";
}

}  // namespace
}  // namespace sluice::store::redis
