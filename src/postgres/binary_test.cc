#include "postgres/binary.h"

#include <gtest/gtest.h>

#include <limits>

namespace sluice::postgres {
namespace {

using namespace std::string_view_literals;

TEST(PostgresBinary, NumbersAreBigEndian) {
  std::string out;
  append_int16(out, -2);
  append_int32(out, 0x01020304);
  append_int64(out, -1);
  EXPECT_EQ(out, "\xff\xfe\x01\x02\x03\x04\xff\xff\xff\xff\xff\xff\xff\xff"sv);
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-5}, std::int64_t{1} << 40,
                                   std::numeric_limits<std::int64_t>::min()}) {
    std::string text;
    append_int64(text, value);
    EXPECT_EQ(read_int64(text), value);
  }
}

TEST(PostgresBinary, TimestampsCountFrom2000) {
  EXPECT_EQ(to_timestamp(946'684'800), 0);
  EXPECT_EQ(to_timestamp(946'684'801), 1'000'000);
  EXPECT_EQ(from_timestamp(0), 946'684'800);
  // Rounded down on both sides of 2000: an entry does not live a second too long.
  EXPECT_EQ(from_timestamp(1'999'999), 946'684'801);
  EXPECT_EQ(from_timestamp(-1), 946'684'799);
  EXPECT_EQ(from_timestamp(std::numeric_limits<std::int64_t>::max()), std::nullopt);
  EXPECT_EQ(from_timestamp(std::numeric_limits<std::int64_t>::min()), std::nullopt);
  EXPECT_EQ(from_timestamp(to_timestamp(kEndOfTime - 1)), kEndOfTime - 1);
}

TEST(PostgresBinary, AnArrayOfBytes) {
  const std::vector<std::string_view> values = {"a", "", "\0\xff"sv};
  EXPECT_EQ(bytea_array(values),
            "\0\0\0\1\0\0\0\0\0\0\0\x11\0\0\0\3\0\0\0\1"
            "\0\0\0\1a\0\0\0\0\0\0\0\2\0\xff"sv);
  EXPECT_EQ(bytea_array({}), "\0\0\0\0\0\0\0\0\0\0\0\x11"sv);
}

TEST(PostgresBinary, TheCopyHeaderHasItsLength) {
  // 11 bytes of signature, flags, and the length of an extension that is not there.
  EXPECT_EQ(kCopyHeader.size(), 19u);
  EXPECT_TRUE(kCopyHeader.ends_with("\0\0\0\0\0\0\0\0"sv));
}

}  // namespace
}  // namespace sluice::postgres
