#include "store/cloudflare/batch_text.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "base/base64.h"

namespace sluice::store::cloudflare {
namespace {

EntryView entry(std::string_view key, std::string_view value, std::string_view metadata = {},
                std::int64_t expiration = 0) {
  return {.key = key, .value = value, .metadata = metadata, .expiration = expiration};
}

TEST(PutText, WritesWhatCloudflareReads) {
  PutText text(1'000'000);
  EXPECT_TRUE(text.append(entry("a\"\n", "v\t\xC3\xA9")));
  EXPECT_TRUE(text.append(entry("b", "x", R"({"m" : 1})", 1'900'000'000)));
  EXPECT_TRUE(text.append(entry("c", "\xFF")));
  EXPECT_TRUE(text.append(entry("d", "")));
  EXPECT_EQ(text.size(), 4u);
  EXPECT_EQ(text.take(), R"([{"key":"a\"\n","value":"v\té"},)"
                         R"({"key":"b","value":"x","expiration":1900000000,"metadata":{"m" : 1}},)"
                         R"({"key":"c","value":"/w==","base64":true},)"
                         R"({"key":"d","value":""}])");
  EXPECT_EQ(text.size(), 0u);
  EXPECT_EQ(text.take(), "[]");
}

TEST(PutText, ValuesFullOfControlCharactersGoAsBase64) {
  const std::string value(10'000, '\x01');
  PutText text(1'000'000);
  ASSERT_TRUE(text.append(entry("k", value)));
  const std::string body = text.take();
  EXPECT_LT(body.size(), 14'000u);
  const auto parsed = boost::json::parse(body).as_array()[0].as_object();
  EXPECT_TRUE(parsed.at("base64").as_bool());
  EXPECT_EQ(decode_base64(parsed.at("value").as_string()), value);
}

TEST(PutText, StaysBelowItsLimit) {
  PutText text(300);
  const std::string value(100, 'x');
  EXPECT_TRUE(text.append(entry("a", value)));
  EXPECT_TRUE(text.append(entry("b", value)));
  EXPECT_FALSE(text.append(entry("c", value)));
  EXPECT_EQ(text.size(), 2u);
  const std::string body = text.take();
  EXPECT_LE(body.size(), 300u);
  EXPECT_EQ(boost::json::parse(body).as_array().size(), 2u);
  // A single entry is never refused: it could not be split.
  EXPECT_TRUE(text.append(entry("d", std::string(1000, 'x'))));
}

TEST(BatchText, KeysAndTitles) {
  const std::string_view keys[] = {"a", "b\"c", "é"};
  EXPECT_EQ(key_list(keys), R"(["a","b\"c","é"])");
  EXPECT_EQ(key_list({}), "[]");
  EXPECT_EQ(get_text(keys), R"({"keys":["a","b\"c","é"],"type":"text","withMetadata":true})");
  EXPECT_EQ(title_text("x\\y"), R"({"title":"x\\y"})");
}

}  // namespace
}  // namespace sluice::store::cloudflare
