#include "bulk/selection.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>

#include "base/json_text.h"

namespace sluice::bulk {
namespace {

Filter compiled(const Selection& selection) {
  Result<Filter> filter = Filter::compile(selection);
  if (!filter) throw std::runtime_error(filter.error().message);
  return std::move(*filter);
}

std::string refusal(const Selection& selection) {
  Result<Filter> filter = Filter::compile(selection);
  return filter ? "accepted" : filter.error().message;
}

bool search(std::string_view text, std::string_view metadata) {
  return compiled({.search = std::string(text)}).matches("key", metadata);
}

bool tagged(std::string_view field, std::string_view metadata) {
  return compiled({.tag_field = std::string(field)}).matches("key", metadata);
}

bool tagged(std::string_view field, std::string_view value, std::string_view metadata) {
  return compiled({.tag_field = std::string(field), .tag_value = std::string(value)})
      .matches("key", metadata);
}

TEST(Selection, KnowsWhetherItSelects) {
  EXPECT_FALSE(Selection{}.selects_something());
  EXPECT_FALSE(Selection{.limit = 5}.selects_something());
  EXPECT_TRUE(Selection{.prefix = "a"}.selects_something());
  EXPECT_TRUE(Selection{.pattern = "a"}.selects_something());
  EXPECT_TRUE(Selection{.search = "a"}.selects_something());
  EXPECT_TRUE(Selection{.tag_field = "a"}.selects_something());
  EXPECT_TRUE(Selection{.keys_file = "a"}.selects_something());
  EXPECT_TRUE(Selection{.all = true}.selects_something());
}

TEST(Filter, RefusesWhatWouldChooseByAccident) {
  EXPECT_NE(refusal({.pattern = ""}).find("--pattern is empty"), std::string::npos);
  EXPECT_NE(refusal({.search = ""}).find("--search is empty"), std::string::npos);
  EXPECT_NE(refusal({.tag_field = ""}).find("--tag-field is empty"), std::string::npos);
  EXPECT_NE(refusal({.tag_value = "x"}).find("needs --tag-field"), std::string::npos);
  EXPECT_NE(refusal({.search = "\xff"}).find("not UTF-8"), std::string::npos);
}

TEST(Filter, SaysWhereAPatternIsWrong) {
  struct Case {
    const char* pattern;
    const char* expected;
  };
  for (const Case& c :
       {Case{"user:(a|b", "at character 9"}, Case{"a[z-a]", "at character 3, \"z-a\""},
        Case{"ab**", "at character 3, \"**\""}, Case{"a\\8", "at character 2, \"\\8\""},
        Case{"(?<a", "character"}, Case{"a{1001}", "character"}}) {
    const std::string message = refusal({.pattern = c.pattern});
    EXPECT_NE(message.find("--pattern does not compile"), std::string::npos) << c.pattern;
    EXPECT_NE(message.find(c.expected), std::string::npos) << message;
  }
}

TEST(Filter, PatternIsFoundAnywhereInTheKey) {
  const Filter filter = compiled({.pattern = "se[rs]:\\d+"});
  EXPECT_TRUE(filter.matches("my-user:12:x", ""));
  EXPECT_FALSE(filter.matches("my-user:x", ""));
  EXPECT_FALSE(filter.matches("USER:1", ""));
  EXPECT_TRUE(filter.matches(std::string_view("\0\xff user:1", 9), ""));
  EXPECT_FALSE(compiled({.pattern = "^user"}).matches("my-user", ""));
}

TEST(Filter, PartsCombineWithAnd) {
  const Filter filter = compiled({.prefix = "user:",
                                  .pattern = "7$",
                                  .search = "gold",
                                  .tag_field = "plan",
                                  .tag_value = "a"});
  const std::string metadata = R"({"plan":"a","level":"Gold"})";
  EXPECT_TRUE(filter.matches("user:17", metadata));
  EXPECT_FALSE(filter.matches("usher:17", metadata));
  EXPECT_FALSE(filter.matches("user:18", metadata));
  EXPECT_FALSE(filter.matches("user:17", R"({"plan":"a","level":"silver"})"));
  EXPECT_FALSE(filter.matches("user:17", R"({"plan":"b","level":"gold"})"));
  EXPECT_FALSE(filter.matches("user:17", ""));
  EXPECT_TRUE(filter.reads_metadata());
  EXPECT_FALSE(compiled({.prefix = "a", .pattern = "b"}).reads_metadata());
}

TEST(Filter, SearchLooksAtValuesAtAnyDepth) {
  EXPECT_TRUE(search("old-data", R"({"a":{"b":[1,{"c":"some OLD-Data here"}]}})"));
  EXPECT_TRUE(search("abc", R"("xABCx")"));
  EXPECT_TRUE(search("4.5E", R"([4.5e3])"));
  EXPECT_TRUE(search("TRUE", R"({"done":true})"));
  EXPECT_TRUE(search("als", R"({"done":false})"));
  EXPECT_FALSE(search("done", R"({"done":true})"));
  EXPECT_FALSE(search("old", R"({"old":"new"})"));
  EXPECT_FALSE(search("null", R"({"a":null})"));
  EXPECT_FALSE(search("a\",\"b", R"(["a","b"])"));
  EXPECT_FALSE(search("1,2", R"([1,2])"));
  EXPECT_FALSE(search("x", ""));
}

TEST(Filter, SearchSeesThroughEscapes) {
  EXPECT_TRUE(search("a/b", R"({"path":"a\/b"})"));
  EXPECT_TRUE(search("hello", R"(["\u0048ELLO"])"));
  EXPECT_TRUE(search("say \"hi\"", R"(["say \"Hi\""])"));
  EXPECT_TRUE(search("back\\slash", R"(["back\\slash"])"));
  EXPECT_FALSE(search("u0048", R"(["\u0048ELLO"])"));
  // Half a surrogate pair is valid JSON but no character.
  EXPECT_TRUE(search("other", R"(["\ud800","other"])"));
  EXPECT_FALSE(search("nothing", R"(["\ud800","other"])"));
}

TEST(Filter, SearchFoldsUnicode) {
  EXPECT_TRUE(search("ÄRGER", R"(["großer ärger"])"));
  EXPECT_TRUE(search("STRASSE", R"(["Straße"])"));
  EXPECT_TRUE(search("straße", R"(["STRASSE"])"));
  EXPECT_TRUE(search("ωμέγα", R"(["ΩΜΈΓΑ"])"));
  EXPECT_TRUE(search("kelvin", "[\"\u212Aelvin\"]"));
  EXPECT_TRUE(search("\u212Aelvin", R"(["KELVIN"])"));
  EXPECT_TRUE(search("caf\u00e9", "[\"CAFE\u0301\"]"));  // composed and decomposed
  EXPECT_FALSE(search("cafe", "[\"caf\u00e9\"]"));
  EXPECT_TRUE(search("日本", R"({"x":"これは日本語"})"));
  EXPECT_FALSE(search("日本", R"({"x":"plain"})"));
  EXPECT_TRUE(search("plain", R"({"x":"plain","y":"日本"})"));
}

TEST(Filter, InvalidMetadataNeverMatches) {
  for (const char* metadata : {"{",
                               "{\"a\":\"x\"",
                               "{\"a\":\"x\"} x",
                               "[\"x\"],[1]",
                               "\"x\",\"x\"",
                               "\"x",
                               "x",
                               "[\"x\" 1]",
                               "{\"a\" \"x\"}",
                               "{\"a\":\"x\",}",
                               "[\"x\",]",
                               "[\"x\",01]",
                               "[\"x\",1e]",
                               "[\"x\",tru]",
                               "[\"x\",nulll]",
                               "[\"x\\q\"]",
                               "[\"x\\u12g4\"]",
                               "[\"x\n\"]",
                               "[\"x\xff\"]",
                               "]",
                               "],[",
                               "\"x\"]",
                               "[\"x\"",
                               "[\"x\"}",
                               "{\"a\":\"x\"]",
                               "[,\"x\"]",
                               "{\"a\":\"x\"\"b\":1}",
                               "[\"x\",123\"x\"]",
                               "[\"x\",-]",
                               "[\"x\",1.]",
                               "[\"x\",+1]",
                               "{a:\"x\"}",
                               "{\"\\q\":\"x\"}",
                               "[\"x\",\"\\\"]",
                               " "}) {
    EXPECT_FALSE(search("x", metadata)) << metadata;
    EXPECT_FALSE(tagged("a", metadata)) << metadata;
  }
  EXPECT_FALSE(search("x", std::string(300, '[') + "\"x\"" + std::string(300, ']')));
  EXPECT_FALSE(search("x", std::string(100'000, '[')));
  EXPECT_TRUE(search("x", std::string(150, '[') + "\"x\"" + std::string(150, ']')));
  EXPECT_TRUE(search("x", " [ \"x\" , 1e999, 123456789012345678901234567890 ] "));
}

TEST(Filter, TagFieldExists) {
  EXPECT_TRUE(tagged("a", R"({"a":1})"));
  EXPECT_TRUE(tagged("a", R"({"b":{"a":2},"a":null})"));
  EXPECT_FALSE(tagged("a", R"({"b":{"a":2}})"));
  EXPECT_FALSE(tagged("a", R"(["a"])"));
  EXPECT_FALSE(tagged("a", R"("a")"));
  EXPECT_TRUE(tagged("b.a", R"({"b":{"a":2}})"));
  EXPECT_TRUE(tagged("b.a", R"({"b.a":2})"));
  EXPECT_TRUE(tagged("x.y.z", R"({"x.y":{"z":1}})"));
  EXPECT_TRUE(tagged("x.y.z", R"({"x":{"y.z":1}})"));
  EXPECT_TRUE(tagged("x.y.z", R"({ "x" : {"q":[{}], "y" : { "z" : {} } } })"));
  EXPECT_FALSE(tagged("x.y.z", R"({"x":{"y":[{"z":1}]}})"));
  EXPECT_TRUE(tagged("ä", R"({"\u00e4":1})"));
}

TEST(Filter, TagValue) {
  EXPECT_TRUE(tagged("t", "red", R"({"t":"red"})"));
  EXPECT_FALSE(tagged("t", "red", R"({"t":"Red"})"));
  EXPECT_FALSE(tagged("t", "red", R"({"t":"redder"})"));
  EXPECT_TRUE(tagged("t", "red", R"({"t":"blue, red ,green"})"));
  EXPECT_TRUE(tagged("t", "blue, red", R"({"t":"blue, red"})"));
  EXPECT_TRUE(tagged("t", "red", R"({"t":["blue","red"]})"));
  EXPECT_FALSE(tagged("t", "red", R"({"t":["blue,red"]})"));
  EXPECT_FALSE(tagged("t", "red", R"({"t":[["red"]]})"));
  EXPECT_FALSE(tagged("t", "red", R"({"t":{"red":"red"}})"));
  EXPECT_TRUE(tagged("t", "12", R"({"t":12})"));
  EXPECT_FALSE(tagged("t", "12", R"({"t":12.0})"));
  EXPECT_TRUE(tagged("t", "12", R"({"t":[1, 12 ]})"));
  EXPECT_TRUE(tagged("t", "true", R"({"t":true})"));
  EXPECT_FALSE(tagged("t", "null", R"({"t":null})"));
  EXPECT_TRUE(tagged("t", "a/b", R"({"t":"a\/b"})"));
  EXPECT_TRUE(tagged("t", "", R"({"t":""})"));
  // The field with exactly this name decides, although the dots lead elsewhere, too.
  EXPECT_FALSE(tagged("a.t", "x", R"({"a":{"t":"x"},"a.t":"y"})"));
  EXPECT_TRUE(tagged("a.t", "x", R"({"a":{"t":["x"]}})"));
  // As cache tags do.
  EXPECT_TRUE(tagged("cache-tag", "b", R"({"cache-tag":"a,b,c"})"));
}

// The quick look at the raw text must never rule out what the parsed text would match.
RC_GTEST_PROP(Filter, SearchFindsEveryPartOfEveryValue, ()) {
  const auto value = *rc::gen::string<std::string>();
  std::string text;
  for (const char c : value) text += static_cast<char>(c & 0x7f);
  RC_PRE(!text.empty());
  std::string metadata = "{\"n\":[null,{\"v\":";
  append_json_string(metadata, text);
  metadata += "}]}";
  const auto from = *rc::gen::inRange<std::size_t>(0, text.size());
  const auto size = *rc::gen::inRange<std::size_t>(1, text.size() - from + 1);
  std::string needle = text.substr(from, size);
  if (*rc::gen::arbitrary<bool>()) {
    std::transform(needle.begin(), needle.end(), needle.begin(),
                   [](char c) { return static_cast<char>(std::toupper(c)); });
  }
  RC_ASSERT(search(needle, metadata));
}

}  // namespace
}  // namespace sluice::bulk
