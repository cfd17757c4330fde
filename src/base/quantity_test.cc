// Tests of duration, size and timestamp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/duration.h"
#include "base/size.h"
#include "base/timestamp.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

TEST(Duration, Reads) {
  EXPECT_EQ(parse_duration("500ms").value(), 500ms);
  EXPECT_EQ(parse_duration("2s").value(), 2s);
  EXPECT_EQ(parse_duration("5m").value(), 5min);
  EXPECT_EQ(parse_duration("1h30m").value(), 90min);
  EXPECT_EQ(parse_duration("1d2h3m4s5ms").value(), 26h + 3min + 4s + 5ms);
  EXPECT_EQ(parse_duration("90s").value(), 90s);
  EXPECT_EQ(parse_duration("0s").value(), 0s);
}

TEST(Duration, Refuses) {
  for (const std::string_view text :
       {"", "5", "s", "5x", "5m1h", "1s1s", "-5s", "1.5s", "5 s", "5S", "1h30",
        "99999999999999999999s", "9223372036854775807s"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

RC_GTEST_PROP(Duration, RoundTrip, ()) {
  const milliseconds duration{*rc::gen::inRange<std::int64_t>(0, std::int64_t{1} << 50)};
  RC_ASSERT(parse_duration(format_duration(duration)).value() == duration);
}

TEST(Duration, Formats) {
  EXPECT_EQ(format_duration(0ms), "0s");
  EXPECT_EQ(format_duration(90min), "1h30m");
  EXPECT_EQ(format_duration(-1500ms), "-1s500ms");
  EXPECT_EQ(format_duration(milliseconds::min()), "-106751991167d7h12m55s808ms");
  EXPECT_EQ(format_elapsed(850ms), "850 ms");
  EXPECT_EQ(format_elapsed(3299ms), "3.2 s");
  EXPECT_EQ(format_elapsed(245s), "4m05s");
  EXPECT_EQ(format_elapsed(127min), "2h07m");
  EXPECT_EQ(format_elapsed(76h), "3d04h");
}

TEST(Size, Reads) {
  EXPECT_EQ(parse_size("0").value(), 0u);
  EXPECT_EQ(parse_size("512").value(), 512u);
  EXPECT_EQ(parse_size("4k").value(), 4000u);
  EXPECT_EQ(parse_size("100MB").value(), 100'000'000u);
  EXPECT_EQ(parse_size("32MiB").value(), 32u << 20);
  EXPECT_EQ(parse_size("1.5G").value(), 1'500'000'000u);
  EXPECT_EQ(parse_size("0.25KiB").value(), 256u);
  EXPECT_EQ(parse_size("64 kB").value(), 64'000u);
  EXPECT_EQ(parse_size("12b").value(), 12u);
  for (const std::string_view text : {"", "k", "-1", "1x", "1.", "1kbb", "1KiBi", "1 2",
                                      "99999999999T", "18446744073709551616"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(Size, Counts) {
  EXPECT_EQ(parse_count("1,000").value(), 1000u);
  EXPECT_EQ(parse_count("18446744073709551615").value(), UINT64_MAX);
  for (const std::string_view text : {"", ",", "-1", "1.5", "1k", "18446744073709551616", " 1"}) {
    EXPECT_FALSE(parse_count(text)) << text;
  }
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1,000");
  EXPECT_EQ(format_count(1234567), "1,234,567");
  EXPECT_EQ(format_count(0, "request"), "0 requests");
  EXPECT_EQ(format_count(1, "retry", "retries"), "1 retry");
  EXPECT_EQ(format_count(1000, "retry", "retries"), "1,000 retries");
}

RC_GTEST_PROP(Size, CountRoundTrip, (std::uint64_t count)) {
  RC_ASSERT(parse_count(format_count(count)).value() == count);
}

TEST(Size, Bytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.0 kB");
  EXPECT_EQ(format_bytes(12'340), "12.3 kB");
  EXPECT_EQ(format_bytes(12'350), "12.4 kB");
  EXPECT_EQ(format_bytes(999'949), "999.9 kB");
  EXPECT_EQ(format_bytes(999'950), "1.0 MB");
  EXPECT_EQ(format_bytes(4'000'000'000), "4.0 GB");
  EXPECT_EQ(format_bytes(UINT64_MAX), "18.4 EB");
}

TEST(Timestamp, Reads) {
  EXPECT_EQ(parse_timestamp("1893456000").value(), 1'893'456'000);
  EXPECT_EQ(parse_timestamp("2030-01-01T00:00:00Z").value(), 1'893'456'000);
  EXPECT_EQ(parse_timestamp("2030-01-01T02:00:00+02:00").value(), 1'893'456'000);
  EXPECT_EQ(parse_timestamp("2029-12-31T19:30:00.999-04:30").value(), 1'893'456'000);
  EXPECT_EQ(parse_timestamp("2030-01-01").value(), 1'893'456'000);
  EXPECT_EQ(parse_timestamp("1969-12-31T23:59:59Z").value(), -1);
  EXPECT_EQ(parse_timestamp("2024-02-29").value(), 1'709'164'800);
  for (const std::string_view text :
       {"", "tomorrow", "2023-02-29", "2030-01-01T", "2030-01-01T00:00:00", "2030-1-1",
        "2030-01-01T24:00:00Z", "2030-01-01T00:00:00Zx", "12x", "2030-01-01T00:00Z",
        "2030-13-01"}) {
    EXPECT_FALSE(parse_timestamp(text)) << text;
  }
}

TEST(Timestamp, ReadsHttpDates) {
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").value(), 784'111'777);
  EXPECT_EQ(format_http_date(784'111'777), "Sun, 06 Nov 1994 08:49:37 GMT");
  for (const std::int64_t moment : {0, 951'827'696, 1'893'456'000}) {
    EXPECT_EQ(parse_http_date(format_http_date(moment)).value(), moment);
  }
  for (const std::string_view text :
       {"", "Sun, 06 Nov 1994 08:49:37 UTC", "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 ovD 1994 08:49:37 GMT"}) {
    EXPECT_FALSE(parse_http_date(text)) << text;
  }
}

TEST(Timestamp, Formats) {
  EXPECT_EQ(format_timestamp(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(format_timestamp(-1), "1969-12-31T23:59:59Z");
  EXPECT_EQ(format_timestamp(253'402'300'799), "9999-12-31T23:59:59Z");
  EXPECT_EQ(format_timestamp(253'402'300'800), "253402300800");
}

RC_GTEST_PROP(Timestamp, RoundTrip, ()) {
  const auto seconds = *rc::gen::inRange<std::int64_t>(-62'167'219'200, 253'402'300'800);
  RC_ASSERT(parse_timestamp(format_timestamp(seconds)).value() == seconds);
}

}  // namespace
}  // namespace sluice
