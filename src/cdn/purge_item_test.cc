#include "cdn/purge_item.h"

#include <gtest/gtest.h>

namespace sluice::cdn {
namespace {

struct Case {
  PurgeKind kind;
  std::string text;
  std::string item;  // empty: refused
};

TEST(PurgeItem, IsCheckedAndMadeTheSame) {
  using enum PurgeKind;
  const std::string longest(1024, 't');
  const Case cases[] = {
      {files, "https://example.com/a,b?c=1", "https://example.com/a,b?c=1"},
      {files, "HTTP://example.com", "HTTP://example.com"},
      {files, "https://example.com/é", "https://example.com/é"},
      {files, "ftp://example.com/", ""},
      {files, "//example.com/", ""},
      {files, "https:///path", ""},
      {files, "https://user:secret@example.com/", ""},
      {files, "https://example.com/a b", ""},
      {files, "https://example.com/\n", ""},
      {files, "https://example.com/\xff", ""},
      {files, "", ""},
      {files, R"({"url":"https://example.com/"})", "https://example.com/"},
      {files, R"({"url":"https://example.com/","headers":{}})", "https://example.com/"},
      {files, R"({"headers":{"b":"2","A": "1"},"url":"https://example.com/"})",
       R"({"url":"https://example.com/","headers":{"A":"1","b":"2"}})"},
      {files, R"({"url":7})", ""},
      {files, R"({"url":"/x","headers":{"a":"1"}})", ""},
      {files, R"({"headers":{"a":"1"}})", ""},
      {files, R"({"url":"https://example.com/","headers":{"a":1}})", ""},
      {files, R"({"url":"https://example.com/","headers":{"a b":"1"}})", ""},
      {files, R"({"url":"https://example.com/","more":1})", ""},
      {files, R"({"url")", ""},
      {tags, "a-b_c:d/e", "a-b_c:d/e"},
      {tags, longest, longest},
      {tags, longest + "t", ""},
      {tags, "two words", ""},
      {tags, "a,b", ""},
      {tags, "täg", ""},
      {hosts, "WWW.Example.com.", "www.example.com"},
      {hosts, "xn--bcher-kva.example", "xn--bcher-kva.example"},
      {hosts, "https://example.com", ""},
      {hosts, "example.com/", ""},
      {hosts, "example.com:443", ""},
      {hosts, "localhost", ""},
      {hosts, "a..b", ""},
      {hosts, ".example.com", ""},
      {hosts, "..", ""},
      {prefixes, "WWW.example.com/Path,x", "www.example.com/Path,x"},
      {prefixes, "example.com", "example.com"},
      {prefixes, "https://example.com/a", ""},
      {prefixes, "/a", ""},
      {prefixes, "example.com/a?b", ""},
      {prefixes, "example.com/a b", ""},
      {everything, "x", ""},
  };
  for (const Case& c : cases) {
    const auto item = checked_item(c.kind, c.text);
    EXPECT_EQ(item.value_or(""), c.item) << name(c.kind) << " " << c.text;
    if (!item) EXPECT_EQ(item.error().code, ErrorCode::invalid_argument);
    // What was checked once stays as it is.
    if (item) EXPECT_EQ(checked_item(c.kind, *item).value_or(""), *item);
  }
}

TEST(PurgeItem, HeadersAreAddedWhereTheyAreMissing) {
  const FileHeader headers[] = {{"CF-Device-Type", "mobile"}};
  EXPECT_EQ(checked_item(PurgeKind::files, "https://a.b/", headers).value(),
            R"({"url":"https://a.b/","headers":{"CF-Device-Type":"mobile"}})");
  EXPECT_EQ(checked_item(PurgeKind::files,
                         R"({"url":"https://a.b/","headers":{"cf-device-type":"tablet"}})", headers)
                .value(),
            R"({"url":"https://a.b/","headers":{"cf-device-type":"tablet"}})");
}

TEST(PurgeItem, HeadersAreParsed) {
  EXPECT_EQ(parse_file_header("CF-Device-Type:  mobile ").value(),
            FileHeader("CF-Device-Type", "mobile"));
  EXPECT_EQ(parse_file_header("Origin: https://a.b").value().second, "https://a.b");
  for (const char* text : {"", "x", ": y", "x:", "a b: c", "x: \x01", "x\r\ny: z"}) {
    EXPECT_FALSE(parse_file_header(text)) << text;
  }
}

TEST(PurgeItem, TellsItsHost) {
  using enum PurgeKind;
  EXPECT_EQ(host_of(files, "https://WWW.example.com:8443/a@b"), "www.example.com");
  EXPECT_EQ(host_of(files, "https://example.com?x"), "example.com");
  EXPECT_EQ(host_of(files, R"({"url":"http://a.example.com./","headers":{"x":"y"}})"),
            "a.example.com");
  EXPECT_EQ(host_of(files, "http://[::1]:80/"), "[::1]");
  EXPECT_EQ(host_of(hosts, "a.example.com"), "a.example.com");
  EXPECT_EQ(host_of(prefixes, "a.example.com/b/c"), "a.example.com");
}

TEST(PurgeItem, IsWrittenAsJson) {
  const std::string_view tags[] = {"a\"b", "c\\"};
  EXPECT_EQ(purge_body(PurgeKind::tags, tags), R"({"tags":["a\"b","c\\"]})");
  const std::string_view files[] = {"https://a.b/",
                                    R"({"url":"https://a.b/","headers":{"x":"y"}})"};
  EXPECT_EQ(purge_body(PurgeKind::files, files),
            R"({"files":["https://a.b/",{"url":"https://a.b/","headers":{"x":"y"}}]})");
  EXPECT_EQ(purge_body(PurgeKind::everything, {}), R"({"purge_everything":true})");
}

TEST(PurgeItem, ListsAreTakenApart) {
  const auto parts = split_list(" a, b ,,c,");
  EXPECT_EQ(parts, (std::vector<std::string_view>{"a", "b", "c"}));
  EXPECT_TRUE(split_list(" , ").empty());
}

}  // namespace
}  // namespace sluice::cdn
