#include "store/redis/layout.h"

#include <gtest/gtest.h>

namespace sluice::store::redis {
namespace {

std::string one_argument(const Commands& commands) {
  std::string text;
  for (const std::string_view piece : commands.pieces()) text += piece;
  const auto begin = text.find("\r\n") + 2;
  return text.substr(begin, text.size() - begin - 2);
}

std::string name_of(const KeySpace& space, std::string_view key) {
  Commands commands;
  space.add_name(commands, key);
  return one_argument(commands);
}

std::string metadata_name_of(const KeySpace& space, std::string_view key) {
  Commands commands;
  space.add_metadata_name(commands, key);
  return one_argument(commands);
}

// What docs/stores.md promises.
TEST(RedisLayout, TheNamesOfKeys) {
  const KeySpace plain("default");
  EXPECT_EQ(name_of(plain, "user:1"), "user:1");
  EXPECT_EQ(metadata_name_of(plain, "user:1"), "sluice:meta:{user:1}");
  EXPECT_EQ(metadata_name_of(plain, "a{b}c"), "sluice:tagged-meta:a{b}c");
  EXPECT_EQ(metadata_name_of(plain, "a{}c"), "sluice:meta:{a{}c}") << "no tag: it is empty";
  EXPECT_EQ(metadata_name_of(plain, "{k}"), "sluice:tagged-meta:{k}");
  EXPECT_NE(metadata_name_of(plain, "{k}"), metadata_name_of(plain, "k"));
  const KeySpace named("00c0ffee");
  EXPECT_EQ(name_of(named, "user:1"), "sluice:ns:00c0ffee:user:1");
  EXPECT_EQ(metadata_name_of(named, "user:1"), "sluice:meta:{sluice:ns:00c0ffee:user:1}");
  EXPECT_EQ(metadata_name_of(named, "a{b}c"), "sluice:tagged-meta:sluice:ns:00c0ffee:a{b}c");
}

TEST(RedisLayout, TheKeysOfNames) {
  const KeySpace plain("default");
  EXPECT_EQ(plain.key_of("user:1"), "user:1");
  EXPECT_EQ(plain.key_of("sluice:ns:00c0ffee:user:1"), std::nullopt);
  EXPECT_EQ(plain.key_of("sluice:meta:{user:1}"), std::nullopt);
  EXPECT_EQ(plain.key_of("sluice"), "sluice");
  const KeySpace named("00c0ffee");
  EXPECT_EQ(named.key_of("sluice:ns:00c0ffee:user:1"), "user:1");
  EXPECT_EQ(named.key_of("sluice:ns:00c0ffe:user:1"), std::nullopt);
  EXPECT_EQ(named.key_of("user:1"), std::nullopt);
  for (const char* key : {"user:1", "a{b}c", "sluice:x", "}"}) {
    EXPECT_TRUE(named.owns(name_of(named, key))) << key;
    EXPECT_TRUE(named.owns(metadata_name_of(named, key))) << key;
    EXPECT_FALSE(named.owns(metadata_name_of(plain, key))) << key;
    EXPECT_FALSE(KeySpace("deadbeef").owns(metadata_name_of(named, key))) << key;
  }
  EXPECT_FALSE(named.owns("user:1"));
  EXPECT_FALSE(named.owns("sluice:namespaces"));
}

TEST(RedisLayout, ReservedKeysAreRefusedInThePlainDatabaseOnly) {
  EXPECT_TRUE(KeySpace("default").check("user:1"));
  EXPECT_TRUE(KeySpace("00c0ffee").check("sluice:x"));
  const auto refused = KeySpace("default").check("sluice:x");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  EXPECT_NE(refused.error().message.find("sluice:x"), std::string::npos);
}

TEST(RedisLayout, PatternsTakePrefixesLiterally) {
  EXPECT_EQ(KeySpace("default").pattern(""), "");
  EXPECT_EQ(KeySpace("default").pattern("a*b?[c]\\^-d"), "a\\*b\\?\\[c\\]\\\\\\^-d*");
  EXPECT_EQ(KeySpace("00c0ffee").pattern(""), "sluice:ns:00c0ffee:*");
  EXPECT_EQ(KeySpace("00c0ffee").pattern("*"), "sluice:ns:00c0ffee:\\**");
}

}  // namespace
}  // namespace sluice::store::redis
