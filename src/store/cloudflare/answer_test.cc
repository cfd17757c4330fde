#include "store/cloudflare/answer.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/json_text.h"
#include "store/cloudflare/list_cursor.h"

namespace sluice::store::cloudflare {
namespace {

struct AnswerTest : testing::Test {
  AnswerParser parser;

  Result<Envelope> list(std::string body, ListPage& page) { return parser.list_page(body, page); }
};

TEST_F(AnswerTest, ReadsAListPage) {
  ListPage page;
  const auto envelope = list(R"({"result":[
      {"name":"a\/b\u00e9\n","expiration":1700000000,"metadata":{ "x" : [1, 2.50,"\u00e9"] , "y":null }},
      {"name":"b"},
      {"name":"c","metadata":null,"expiration":null},
      {"name":"d","metadata":"text\"","future":{"a":[1]}},
      {"name":"e","metadata":-1.50E+3},
      {"name":"f","metadata":123456789012345678901234567890}
    ],"result_info":{"count":6,"cursor":"abc"},"success":true,"errors":[],"messages":[]})",
                             page);
  ASSERT_TRUE(envelope) << envelope.error().message;
  EXPECT_TRUE(envelope->success);
  EXPECT_EQ(page.cursor, "abc");
  EXPECT_EQ(page.count, 6u);
  ASSERT_EQ(page.entries.size(), 6u);
  EXPECT_EQ(page.entries[0].key, "a/b\xC3\xA9\n");
  EXPECT_EQ(page.entries[0].expiration, 1700000000);
  EXPECT_EQ(page.entries[0].presence, Presence::listed);
  EXPECT_EQ(page.entries[0].metadata, R"({ "x" : [1, 2.50,"\u00e9"] , "y":null })");
  EXPECT_EQ(page.entries[1].metadata, "");
  EXPECT_EQ(page.entries[2].metadata, "");
  EXPECT_EQ(page.entries[2].expiration, 0);
  EXPECT_EQ(page.entries[3].metadata, R"("text\"")");
  EXPECT_EQ(page.entries[4].metadata, "-1.50E+3");
  EXPECT_EQ(page.entries[5].metadata, "123456789012345678901234567890");
}

TEST_F(AnswerTest, TheCursorIsEmptyOrNullAtTheEnd) {
  for (const std::string_view info :
       {R"("result_info":{"count":0,"cursor":""},)", R"("result_info":{"cursor":null},)",
        R"("result_info":{"cursor":""},)"}) {
    ListPage page;
    const auto envelope = list(fmt::format(R"({{"result":[],{}"success":true}})", info), page);
    ASSERT_TRUE(envelope) << info;
    EXPECT_EQ(page.cursor, "") << info;
  }
}

// Taken for the end, it would lose the rest of the keys.
TEST_F(AnswerTest, AnAbsentCursorProvesNothing) {
  for (const std::string_view info : {R"("result_info":{},)", R"("result_info":null,)", ""}) {
    ListPage page;
    EXPECT_FALSE(list(fmt::format(R"({{"result":[],{}"success":true}})", info), page)) << info;
  }
}

TEST_F(AnswerTest, SuccessIsOnlyTheLiteralTrue) {
  ListPage page;
  const auto refused = list(
      R"({"success":false,"errors":[{"code":10013,"message":"namespace not found"},{"code":1}],"result":null})",
      page);
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->success);
  EXPECT_EQ(refused->code, 10013);
  EXPECT_EQ(refused->message, "namespace not found");
  for (const std::string_view success : {R"("true")", "1", "null", "{}"}) {
    EXPECT_FALSE(list(fmt::format(R"({{"result":[],"success":{}}})", success), page)) << success;
  }
  EXPECT_FALSE(list(R"({"result":[]})", page));
}

TEST_F(AnswerTest, RefusesWhatIsNotAProvenPage) {
  const std::string good =
      R"({"success":true,"result":[{"name":"a","metadata":{"x":"y"}}],"result_info":{"cursor":""}})";
  ListPage page;
  ASSERT_TRUE(list(good, page));
  // Cut off at every place.
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(list(good.substr(0, length), page)) << length;
  }
  for (const std::string_view bad :
       {R"({"success":true,"result":null})",
        R"({"success":true})",
        R"({"success":true,"result":{}})",
        R"({"success":true,"result":[{"expiration":1}]})",
        R"({"success":true,"result":[{"name":5}]})",
        R"({"success":true,"result":["a"]})",
        R"({"success":true,"result":[{"name":"a","expiration":-5}]})",
        R"({"success":true,"result":[{"name":"a","metadata":{"x":}}]})",
        R"({"success":true,"result":[{"name":"a","metadata":{"x":nul}}]})",
        R"({"success":true,"result":[{"name":"a","metadata":{"x":01}}]})",
        R"({"success":true,"result":[{"name":"a","metadata":{"x":"\q"}}]})",
        R"({"success":true,"result":[{"name":"a","metadata":tru}]})",
        R"({"success":true,"result":[{"name":"a","metadata":[1,]}]})",
        R"({"success":true,"result":[]} {})",
        R"({"success":true,"result":[]}x)",
        R"([])",
        R"("x")",
        "<html>429</html>",
        "",
        " ",
        "{\"success\":true,\"result\":[{\"name\":\"\xFF\"}]}"}) {
    EXPECT_FALSE(list(std::string(bad), page)) << bad;
  }
}

TEST_F(AnswerTest, BoundsNesting) {
  ListPage page;
  const auto nested = [&](std::size_t depth) {
    return list(R"({"success":true,"result_info":{"cursor":""},"result":[{"name":"a","metadata":)" +
                    std::string(depth, '[') + std::string(depth, ']') + "}]}",
                page);
  };
  ASSERT_TRUE(nested(500));
  EXPECT_EQ(page.entries[0].metadata.size(), 1000u);
  EXPECT_FALSE(nested(100'000));
}

TEST_F(AnswerTest, ReadsNamespaces) {
  NamespacePage page;
  std::string body =
      R"({"success":true,"result":[{"id":"1","title":"One \"1\"","supports_url_encoding":true},
      {"title":"Two","id":"2"}],"result_info":{"page":1,"per_page":20,"count":2,"total_count":2}})";
  const auto envelope = parser.namespaces(body, page);
  ASSERT_TRUE(envelope) << envelope.error().message;
  ASSERT_EQ(page.namespaces.size(), 2u);
  EXPECT_EQ(page.namespaces[0].title, "One \"1\"");
  EXPECT_EQ(page.namespaces[1].id, "2");
  EXPECT_EQ(page.per_page, 20u);
  EXPECT_EQ(page.total_count, 2u);
  body = R"({"success":true,"result":[{"title":"no id"}]})";
  EXPECT_FALSE(parser.namespaces(body, page));
}

TEST_F(AnswerTest, ReadsBulkGetInEveryForm) {
  const std::string_view keys[] = {"a", "b/é", "c", "d", "e", "f"};
  Block entries;
  std::string body = R"({"success":true,"result":{"values":{
      "c":{"value":"C","metadata":{"k": 1},"expiration":1700000000},
      "a":"plain\u0000\n","b\/\u00e9":null,
      "e":{"value":null,"metadata":null},
      "other":{"value":"not asked for"},
      "f":{"value":"","metadata":null}}}})";
  const auto envelope = parser.bulk_get(body, keys, entries);
  ASSERT_TRUE(envelope) << envelope.error().message;
  ASSERT_EQ(entries.size(), 6u);
  EXPECT_EQ(entries[0].key, "a");
  EXPECT_EQ(entries[0].value, std::string_view("plain\0\n", 7));
  EXPECT_EQ(entries[0].presence, Presence::present);
  EXPECT_EQ(entries[1].presence, Presence::missing);
  EXPECT_EQ(entries[2].value, "C");
  EXPECT_EQ(entries[2].metadata, R"({"k": 1})");
  EXPECT_EQ(entries[2].expiration, 1700000000);
  EXPECT_EQ(entries[3].presence, Presence::failed);  // left out
  EXPECT_EQ(entries[4].presence, Presence::missing);
  EXPECT_EQ(entries[5].presence, Presence::present);
  EXPECT_EQ(entries[5].value, "");
  for (const std::string_view bad :
       {R"({"success":true,"result":{}})", R"({"success":true,"result":null})",
        R"({"success":true,"result":{"values":{"a":5}}})",
        R"({"success":true,"result":{"values":{"a":{"value":5}}}})",
        R"({"success":true,"result":{"values":{"a":nul}}})",
        R"({"success":true,"result":{"values":["a"]}})"}) {
    body = bad;
    EXPECT_FALSE(parser.bulk_get(body, keys, entries)) << bad;
  }
}

TEST_F(AnswerTest, ReadsBulkWrites) {
  BulkResult result;
  std::string body =
      R"({"success":true,"result":{"successful_key_count":2,"unsuccessful_keys":["x","\u00e9"]}})";
  ASSERT_TRUE(parser.bulk_write(body, result));
  EXPECT_EQ(result.successful, 2u);
  EXPECT_EQ(result.unsuccessful, (std::vector<std::string>{"x", "é"}));
  body = R"({"success":true,"result":null})";
  ASSERT_TRUE(parser.bulk_write(body, result));
  EXPECT_EQ(result.successful, std::nullopt);
  EXPECT_TRUE(result.unsuccessful.empty());
  body = R"({"success":true,"result":{"successful_key_count":-1}})";
  EXPECT_FALSE(parser.bulk_write(body, result));
}

TEST(AddsUp, Table) {
  const auto result = [](std::optional<std::uint64_t> successful, std::size_t failed) {
    return BulkResult{successful, std::vector<std::string>(failed, "k")};
  };
  EXPECT_TRUE(adds_up(result(10, 0), true, 10));
  EXPECT_TRUE(adds_up(result(8, 2), true, 10));
  EXPECT_TRUE(adds_up(result(8, 2), false, 10));
  EXPECT_TRUE(adds_up(result(std::nullopt, 0), true, 10));
  EXPECT_TRUE(adds_up(result(std::nullopt, 3), true, 10));
  EXPECT_FALSE(adds_up(result(std::nullopt, 3), false, 10));
  EXPECT_FALSE(adds_up(result(9, 0), true, 10));
  EXPECT_FALSE(adds_up(result(11, 0), true, 10));
  EXPECT_FALSE(adds_up(result(10, 2), true, 10));
  EXPECT_FALSE(adds_up(result(0, 0), true, 10));
  EXPECT_FALSE(adds_up(result(0, 11), true, 10));
  EXPECT_FALSE(adds_up(result(UINT64_MAX, 11), true, 10));
}

TEST_F(AnswerTest, ReadsMetadataAlone) {
  std::string metadata;
  std::string body = R"({"success":true,"result": { "a":1 } })";
  ASSERT_TRUE(parser.metadata(body, metadata));
  EXPECT_EQ(metadata, R"({ "a":1 })");
  body = R"({"success":true,"result":null})";
  ASSERT_TRUE(parser.metadata(body, metadata));
  EXPECT_EQ(metadata, "");
}

TEST_F(AnswerTest, KnowsJson) {
  for (const std::string_view good : {"{}", "[]", "1", "-0.5e3", "\"x\"", "null", "true",
                                      " {\"a\":[1]} ", "99999999999999999999999", "\"\\u00e9\""}) {
    EXPECT_TRUE(parser.is_json(good)) << good;
  }
  for (const std::string_view bad :
       {"",          " ",    "{",     "{}{}", "1,2", "1 2", "],[",     "{\"a\":1,}", "nul",
        "truefalse", "01",   "1.",    "+1",   ".5",  "\"",  "\"\\x\"", "'a'",        "{a:1}",
        "\xFF",      "[1]]", "1],[2", "--1",  "1e",  "NaN", "\"a\nb\""}) {
    EXPECT_FALSE(parser.is_json(bad)) << bad;
  }
}

RC_GTEST_PROP(AnswerProperty, KeysAndMetadataSurviveByteForByte, ()) {
  const auto names = *rc::gen::container<std::vector<std::string>>(
      rc::gen::container<std::string>(rc::gen::inRange<char>(0, 127)));
  std::string body = R"({"result_info":{"cursor":""},"result":[)";
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) body += ',';
    body += R"({"name":)";
    append_json_string(body, names[i]);
    body += R"(,"metadata":{"n": )";
    append_json_string(body, names[i]);
    body += "}}";
  }
  body += R"(],"success":true})";
  AnswerParser parser;
  ListPage page;
  const auto envelope = parser.list_page(body, page);
  RC_ASSERT(envelope.has_value());
  RC_ASSERT(page.entries.size() == names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    RC_ASSERT(page.entries[i].key == names[i]);
    std::string metadata = R"({"n": )";
    append_json_string(metadata, names[i]);
    RC_ASSERT(page.entries[i].metadata == metadata + "}");
  }
}

RC_GTEST_PROP(AnswerProperty, AnyBytesAreReadOrRefused, (std::string body)) {
  AnswerParser parser;
  ListPage page;
  const std::string before = body;
  const auto envelope = parser.list_page(body, page);
  RC_ASSERT(body == before);
  const bool proven = envelope.has_value() && envelope->success;
  RC_ASSERT(!proven);  // no random text is a success
}

TEST(ListCursorTest, RoundTrip) {
  for (const std::string_view service : {"", "abc", "skip=", "skip=3;x", "skip=0;", "a;b"}) {
    for (const std::size_t skip : {0u, 1u, 9u, 1000u}) {
      const ListCursor back = ListCursor::parse(ListCursor{std::string(service), skip}.text());
      EXPECT_EQ(back.service, service);
      EXPECT_EQ(back.skip, skip);
    }
  }
  EXPECT_EQ((ListCursor{"abc", 0}.text()), "abc");
  EXPECT_EQ((ListCursor{"", 0}.text()), "");
  EXPECT_EQ(ListCursor::parse("skip=many;x").service, "skip=many;x");
}

}  // namespace
}  // namespace sluice::store::cloudflare
