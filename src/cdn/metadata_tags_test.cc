#include "cdn/metadata_tags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::cdn {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(MetadataTags, AreFoundInEveryUsualFieldAndForm) {
  for (const char* field : {"cache-tag", "cache-tags", "cacheTags", "tag", "tags"}) {
    const auto tags = [&](std::string_view value) {
      return tags_of(fmt::format(R"({{"x":1,"{}":{}}})", field, value), std::nullopt).tags;
    };
    EXPECT_THAT(tags(R"("a")"), ElementsAre("a"));
    EXPECT_THAT(tags(R"("a, b ,,c")"), ElementsAre("a", "b", "c"));
    EXPECT_THAT(tags(R"(["a","b,c","a"])"), ElementsAre("a", "b", "c"));
    EXPECT_THAT(tags("[1,\"x\"]"), ElementsAre("1", "x"));
    EXPECT_THAT(tags("null"), IsEmpty());
    EXPECT_THAT(tags("\"\""), IsEmpty());
  }
}

TEST(MetadataTags, OfSeveralFieldsAreAllUsed) {
  EXPECT_THAT(tags_of(R"({"tags":["b"],"tag":"a","cacheTags":"b,c"})", std::nullopt).tags,
              ElementsAre("b", "c", "a"));
}

TEST(MetadataTags, OfAnotherFieldIfItIsNamed) {
  const std::string metadata = R"({"tags":["a"],"o":{"l":["b"],"p.q":"d"},"o.l.x":"c"})";
  const auto tags = [&](std::string field) { return tags_of(metadata, field).tags; };
  EXPECT_THAT(tags("o.l"), ElementsAre("b"));
  EXPECT_THAT(tags("o.l.x"), ElementsAre("c"));
  EXPECT_THAT(tags("o.p.q"), ElementsAre("d"));
  EXPECT_THAT(tags("none"), IsEmpty());
  EXPECT_THAT(tags("tags.x"), IsEmpty());
}

TEST(MetadataTags, WhatIsNoneIsCounted) {
  const auto found =
      tags_of(R"({"tags":["ok","two words","é",{"a":1},["b"],true,null]})", std::nullopt);
  EXPECT_THAT(found.tags, ElementsAre("ok"));
  EXPECT_EQ(found.unusable, 5u);
}

TEST(MetadataTags, OfWhatIsNoObjectAreNone) {
  for (const char* metadata : {"", "null", "[\"tags\"]", "\"tags\"", "{\"tags\":", "{}"}) {
    EXPECT_THAT(tags_of(metadata, std::nullopt).tags, IsEmpty()) << metadata;
  }
}

}  // namespace
}  // namespace sluice::cdn
