// What is read from outside: queries, forms, cursors, bodies, bytes as text.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/base64.h"
#include "base/utf8.h"
#include "server/cloudflare/array_cutter.h"
#include "server/cloudflare/bulk_body.h"
#include "server/cloudflare/cursor.h"
#include "server/cloudflare/multipart.h"
#include "server/cloudflare/query.h"
#include "server/cloudflare/text.h"

namespace sluice::server::cloudflare {
namespace {

TEST(Query, DecodesAsFormsAre) {
  const auto query = Query::parse("limit=10&prefix=a%2Fb+c%2B&&empty=&bare&limit=20");
  ASSERT_TRUE(query);
  EXPECT_EQ(query->find("prefix"), "a/b c+");
  EXPECT_EQ(query->find("limit"), "10") << "the first one counts";
  EXPECT_EQ(query->find("empty"), "");
  EXPECT_EQ(query->find("bare"), "");
  EXPECT_FALSE(query->find("other"));
  EXPECT_EQ(**query->find_integer("limit"), 10);
  EXPECT_FALSE(query->find_integer("prefix"));
  EXPECT_FALSE(query->find_integer("empty"));
  EXPECT_EQ(*query->find_integer("other"), std::nullopt);
  EXPECT_FALSE(Query::parse("a=%2"));
  EXPECT_FALSE(Query::parse("%zz=1"));
  EXPECT_FALSE(Query::parse("n=99999999999999999999")->find_integer("n"));
}

TEST(Cursor, IsGoodForItsListingOnly) {
  const std::string position("\0>key\xff/?", 8);
  const std::string cursor = make_cursor("space", "prefix", position);
  EXPECT_EQ(cursor.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-_"),
            std::string::npos);
  EXPECT_EQ(read_cursor(cursor, "space", "prefix").value(), position);
  EXPECT_FALSE(read_cursor(cursor, "space2", "prefix"));
  EXPECT_FALSE(read_cursor(cursor, "space", "prefi"));
  EXPECT_FALSE(read_cursor(cursor, "spacep", "refix")) << "the parts have their lengths";
  for (std::size_t i = 0; i < cursor.size(); ++i) {
    std::string other = cursor;
    other[i] = other[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(read_cursor(other, "space", "prefix")) << other;
    EXPECT_FALSE(read_cursor(cursor.substr(0, i), "space", "prefix"));
  }
  EXPECT_FALSE(read_cursor(cursor + "=", "space", "prefix"));
  EXPECT_FALSE(read_cursor("made up", "space", "prefix"));
}

std::vector<std::string> elements(std::string_view text, ArrayCutter::Step& last) {
  ArrayCutter cutter(text);
  std::vector<std::string> found;
  while ((last = cutter.next()) == ArrayCutter::Step::element) found.emplace_back(cutter.element());
  return found;
}

TEST(ArrayCutter, FindsElements) {
  using Elements = std::vector<std::string>;
  ArrayCutter::Step last{};
  EXPECT_EQ(elements(R"( [ {"a":"]}"} , "x\"]" ,[1,[2]],null , 1e5 ] )", last),
            (Elements{R"({"a":"]}"})", R"("x\"]")", "[1,[2]]", "null", "1e5"}));
  EXPECT_EQ(last, ArrayCutter::Step::end);
  EXPECT_EQ(elements("[]", last), Elements{});
  EXPECT_EQ(last, ArrayCutter::Step::end);
  EXPECT_EQ(elements(R"(["\\","\\\"",""])", last), (Elements{R"("\\")", R"("\\\"")", R"("")"}));
  EXPECT_EQ(last, ArrayCutter::Step::end);
  for (const std::string_view bad : {"", "{}", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1]]",
                                     "[1]x", R"(["a)", R"(["a\")", "[{]", "[[}", "null", "[}"}) {
    elements(bad, last);
    // "[[}" has its brackets matched by number: the parser of the element finds that.
    if (bad != "[[}") EXPECT_EQ(last, ArrayCutter::Step::bad) << bad;
  }
  EXPECT_EQ(elements("[[" + std::string(ArrayCutter::kMostTokens, ',') + "]]", last), Elements{});
  EXPECT_EQ(last, ArrayCutter::Step::bad);
}

constexpr std::string_view kType = "multipart/form-data; boundary=XX";

std::string form(std::string_view head, std::string_view content) {
  return fmt::format("--XX\r\n{}\r\n\r\n{}\r\n--XX--\r\n", head, content);
}

TEST(Multipart, ReadsParts) {
  const std::string body =
      "--XX\r\nContent-Disposition: form-data; name=\"value\"; filename=\"a;b\\\"c\"\r\n"
      "Content-Type: application/octet-stream\r\n\r\n\r\n--X\r\n--\xff\r\n"
      "--XX\r\ncontent-disposition:form-data;name=metadata\r\n\r\n\r\n--XX--\r\n";
  const auto parts = parse_form(kType, body);
  ASSERT_TRUE(parts) << parts.error().message;
  ASSERT_EQ(parts->size(), 2u);
  EXPECT_EQ(parts->front().name, "value");
  EXPECT_EQ(parts->front().content, "\r\n--X\r\n--\xff");
  EXPECT_EQ(parts->back().name, "metadata");
  EXPECT_EQ(parts->back().content, "");
}

TEST(Multipart, KeepsBytes) {
  const std::string content("\r\n--X\r\n-- \0\xff--XX \r\n\r\n", 21);
  const std::string body = form("Content-Disposition: form-data; name=\"value\"", content);
  for (const std::string_view type : {"multipart/form-data; boundary=XX",
                                      "Multipart/Form-Data;charset=utf-8;BOUNDARY=\"XX\" ; "}) {
    const auto parts = parse_form(type, body);
    ASSERT_TRUE(parts) << parts.error().message;
    ASSERT_EQ(parts->size(), 1u);
    EXPECT_EQ(parts->front().content, content);
  }
}

TEST(Multipart, RefusesWhatIsMalformed) {
  const std::string good = form("Content-Disposition: form-data; name=\"value\"", "x");
  ASSERT_TRUE(parse_form(kType, good));
  for (const std::string_view type :
       {"multipart/form-data", "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"", "multipart/form-data; boundary=XX; boundary=XX",
        "multipart/mixed; boundary=XX", "multipart/form-data; boundary=\"XX",
        "multipart/form-data, boundary=XX", "multipart/form-data; boundary=\"XX\x01\""}) {
    EXPECT_FALSE(parse_form(type, good)) << type;
  }
  const std::string seventy(70, 'b');
  EXPECT_TRUE(parse_form("multipart/form-data; boundary=" + seventy, "--" + seventy + "--"));
  EXPECT_FALSE(parse_form("multipart/form-data; boundary=b" + seventy, "--b" + seventy + "--"));
  for (const std::string_view head :
       {"Content-Disposition: form-data", "Content-Disposition: attachment; name=\"value\"",
        "Content-Disposition: form-data; name=\"value", "X: y",
        "Content-Disposition: form-data; name=a; name=b",
        "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
        "Content-Disposition: form-data; name=a\r\nContent-Type: multipart/mixed; boundary=YY",
        "Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64",
        "Content-Disposition: form-data; name=a\n", "Content-Disposition : form-data; name=a"}) {
    EXPECT_FALSE(parse_form(kType, form(head, "x"))) << head;
  }
  for (std::size_t size = 0; size + 2 < good.size(); ++size) {
    EXPECT_FALSE(parse_form(kType, std::string_view(good).substr(0, size))) << size;
  }
  EXPECT_FALSE(parse_form(kType, "preamble\r\n" + good));
  EXPECT_FALSE(parse_form(kType, good + "epilogue"));
  std::string many;
  for (int i = 0; i < 17; ++i) {
    many += "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n";
  }
  EXPECT_FALSE(parse_form(kType, many + "--XX--"));
}

TEST(Text, ReplacesWhatIsNotUtf8AsDecodersDo) {
  // https://encoding.spec.whatwg.org/#utf-8-decoder: one for each maximal part.
  const std::pair<std::string_view, std::string_view> table[] = {
      {"plain ä €", "plain ä €"},
      {"a\xff"
       "b",
       "a\uFFFDb"},
      {"\xC0\xAF", "\uFFFD\uFFFD"},
      {"\xE2\x82", "\uFFFD"},
      {"\xE2\x82"
       "x",
       "\uFFFDx"},
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xF0\x9F\x98", "\uFFFD"},
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xF0\x9F\x98\x80\x80", "😀\uFFFD"},
      {"\xEF\xBB\xBFmark", "\xEF\xBB\xBFmark"},
  };
  std::string scratch;
  for (const auto& [bytes, text] : table) EXPECT_EQ(as_text(bytes, scratch), text);
}

TEST(Text, KnowsJson) {
  for (const std::string_view good : {"null", " {\"a\":[1,2.5e3,\"x\\u00e4\"]} ", "\"\"", "0"}) {
    EXPECT_TRUE(is_json(good)) << good;
  }
  for (const std::string_view bad :
       {"", "{", "1,2", "1]", "01", "nul", "\"\\x\"", "{\"a\":}", "\"\xff\"", "[1]]", "tru"}) {
    EXPECT_FALSE(is_json(bad)) << bad;
  }
  EXPECT_FALSE(is_json(std::string(500, '[') + std::string(500, ']')));
  EXPECT_EQ(without_space(" { \"a b\" : [ 1 , \"\\\" x\" ] } "), "{\"a b\":[1,\"\\\" x\"]}");
}

constexpr std::int64_t kNow = 1'700'000'000;

// The pairs of a body read in stretches of `stretch` bytes, or the refusal.
Checked<std::vector<store::EntryView>> read_pairs(std::string& body, std::size_t stretch) {
  PairReader reader(body, kNow);
  for (;;) {
    const auto more = reader.read(stretch);
    if (!more) return std::unexpected(more.error());
    if (!*more) return std::move(reader.entries());
  }
}

TEST(PairReader, ReadsPairs) {
  for (const std::size_t stretch : {std::size_t{1}, std::size_t{1} << 20}) {
    std::string body = R"([
      {"key":"a","value":"plain"},
      {"value":"es\"c\u00e4\n\ud83d\ude00","key":"b\/","metadata": {"x" : [1, "}"]} ,"expiration":1.8e9},
      {"key":"c","value":"AP8=","base64":true,"expiration_ttl":60.0,"expiration":5},
      {"key":"d","value":"first","value":"last","metadata":null,"other":[{}],"base64":false},
      {"key":"e","value":"","metadata":"text","expiration":null}
    ])";
    const auto pairs = read_pairs(body, stretch);
    ASSERT_TRUE(pairs) << pairs.error().message;
    ASSERT_EQ(pairs->size(), 5u);
    EXPECT_EQ((*pairs)[0].key, "a");
    EXPECT_EQ((*pairs)[0].value, "plain");
    EXPECT_EQ((*pairs)[0].metadata, "");
    EXPECT_EQ((*pairs)[0].expiration, 0);
    EXPECT_EQ((*pairs)[1].key, "b/");
    EXPECT_EQ((*pairs)[1].value, "es\"cä\n😀");
    EXPECT_EQ((*pairs)[1].metadata, R"({"x" : [1, "}"]})") << "as it came";
    EXPECT_EQ((*pairs)[1].expiration, 1'800'000'000);
    EXPECT_EQ((*pairs)[2].value, std::string_view("\0\xff", 2));
    EXPECT_EQ((*pairs)[2].expiration, kNow + 60) << "the ttl wins";
    EXPECT_EQ((*pairs)[3].value, "last");
    EXPECT_EQ((*pairs)[3].metadata, "");
    EXPECT_EQ((*pairs)[4].metadata, R"("text")");
  }
}

TEST(PairReader, RefusesAsAWhole) {
  struct Row {
    std::string body;
    int status;
    Code code;
  };
  const std::string long_key(513, 'k');
  const std::string long_metadata(1025, 'm');
  const Row table[] = {
      {"", 400, Code::bad_body},
      {"{}", 400, Code::bad_body},
      {"[1]", 400, Code::bad_body},
      {R"([{"key":"a"}])", 400, Code::bad_body},
      {R"([{"value":"a"}])", 400, Code::bad_body},
      {R"([{"key":1,"value":"a"}])", 400, Code::bad_body},
      {R"([{"key":"a","value":{}}])", 400, Code::bad_body},
      {R"([{"key":"a","value":null}])", 400, Code::bad_body},
      {R"([{"key":"","value":""}])", 400, Code::bad_key},
      {R"([{"key":"..","value":""}])", 400, Code::bad_key},
      {R"([{"key":")" + long_key + R"(","value":""}])", 400, Code::bad_key},
      {R"([{"key":"a","value":"A","base64":true}])", 400, Code::bad_body},
      {R"([{"key":"a","value":"A","base64":1}])", 400, Code::bad_body},
      {R"([{"key":"a","value":"","expiration":1.5}])", 400, Code::bad_expiration},
      {R"([{"key":"a","value":"","expiration":"1900000000"}])", 400, Code::bad_expiration},
      {R"([{"key":"a","value":"","expiration":1700000059}])", 400, Code::bad_expiration},
      {R"([{"key":"a","value":"","expiration":1900000000000}])", 400, Code::bad_expiration},
      {R"([{"key":"a","value":"","expiration_ttl":59}])", 400, Code::bad_expiration},
      {R"([{"key":"a","value":"","metadata":")" + long_metadata + R"("}])", 413, Code::too_large},
      {R"([{"key":"a","value":"","metadata":{]}}])", 400, Code::bad_body},
      {R"([{"key":"a","value":"\x"}])", 400, Code::bad_body},
      {R"([{"key":"a","value":"\ud800"}])", 400, Code::bad_body},
      {"[{\"key\":\"a\",\"value\":\"\xff\"}]", 400, Code::bad_body},
      {"[{\"key\":\"a\",\"value\":\"\n\"}]", 400, Code::bad_body},
      {R"([{"key":"a","value":"b"},])", 400, Code::bad_body},
      {R"([{"key":"a","value":"b"}] x)", 400, Code::bad_body},
      {R"([{"key":"a","value":"b"})", 400, Code::bad_body},
      {R"([{"key":"a","value":"b" "c":1}])", 400, Code::bad_body},
      {R"([{"key":"a","value":"b","x":nul}])", 400, Code::bad_body},
      {R"([{"key":"a","value":"b","x":)" + std::string(300, '[') + std::string(300, ']') + "}]",
       400, Code::bad_body},
  };
  for (const Row& row : table) {
    std::string body = row.body;
    const auto pairs = read_pairs(body, 64);
    ASSERT_FALSE(pairs) << row.body;
    EXPECT_EQ(pairs.error().status, row.status) << row.body;
    EXPECT_EQ(pairs.error().code, row.code) << row.body << ": " << pairs.error().message;
  }
  std::string many = "[";
  for (int i = 0; i <= 10'000; ++i) many += R"({"key":"a","value":""},)";
  many.back() = ']';
  const auto pairs = read_pairs(many, 1 << 20);
  ASSERT_FALSE(pairs);
  EXPECT_EQ(pairs.error().code, Code::too_many);
}

TEST(PairReader, MetadataCountsWithoutItsWhiteSpace) {
  std::string body = R"([{"key":"a","value":"v","metadata":{"x":)" + std::string(2000, ' ') +
                     R"("y"}},{"key":"b","value":"w"}])";
  const auto pairs = read_pairs(body, 1 << 20);
  ASSERT_TRUE(pairs) << pairs.error().message;
  EXPECT_EQ((*pairs)[0].metadata, R"({"x":"y"})");
  EXPECT_EQ((*pairs)[1].value, "w");
}

RC_GTEST_PROP(PairReader, ReadsWhatIsWritten, ()) {
  struct Pair {
    std::string key;
    std::string value;
    bool base64;
  };
  const auto pairs = *rc::gen::container<std::vector<std::pair<std::string, std::string>>>(
      rc::gen::pair(rc::gen::string<std::string>(), rc::gen::string<std::string>()));
  std::string body;
  JsonWriter json(body);
  std::vector<Pair> written;
  json.begin_array();
  for (const auto& [key, value] : pairs) {
    if (!check_key(key)) continue;
    const bool base64 = !is_utf8(value);
    std::string text = value;
    if (base64) {
      text.clear();
      append_base64(text, value);
    }
    json.begin_object();
    json.name("key");
    json.string(key);
    json.name("value");
    json.string(text);
    json.name("base64");
    json.boolean(base64);
    json.end_object();
    written.push_back({key, value, base64});
  }
  json.end_array();
  const auto read = read_pairs(body, *rc::gen::inRange<std::size_t>(1, 100));
  RC_ASSERT(read.has_value());
  RC_ASSERT(read->size() == written.size());
  for (std::size_t i = 0; i < written.size(); ++i) {
    RC_ASSERT((*read)[i].key == written[i].key);
    RC_ASSERT((*read)[i].value == written[i].value);
  }
}

TEST(KeyReader, ReadsKeys) {
  std::string body = R"(["a", "b\"\u00e4" ,"c/d"])";
  KeyReader reader(body);
  const auto read = reader.read(1 << 20);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(reader.keys(), (std::vector<std::string_view>{"a", "b\"ä", "c/d"}));
  for (std::string bad :
       {R"(["a",1])", R"([""])", R"(["."])", R"({"a":1})", R"(["a)", R"([["a"]])"}) {
    KeyReader other(bad);
    EXPECT_FALSE(other.read(1 << 20)) << bad;
  }
}

TEST(BulkGet, ReadsItsBody) {
  std::string body = R"({"keys":["a","b","a"],"type":"json","withMetadata":true,"more":{}})";
  const auto asked = parse_bulk_get(body);
  ASSERT_TRUE(asked) << asked.error().message;
  EXPECT_EQ(asked->keys, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(asked->json);
  EXPECT_TRUE(asked->with_metadata);
  std::string many = R"({"keys":[)";
  for (int i = 0; i < 101; ++i) many += fmt::format("\"{}\",", i);
  many.back() = ']';
  many += '}';
  const auto refused = parse_bulk_get(many);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::too_many);
  for (std::string bad : {"", "[]", R"({"keys":[]})", R"({})", R"({"keys":["a"],"type":"stream"})",
                          R"({"keys":["a"],"withMetadata":1})", R"({"keys":"a"})",
                          R"({"keys":["a"]} x)", R"({"keys":[".."]})", R"({"keys":[1]})"}) {
    EXPECT_FALSE(parse_bulk_get(bad)) << bad;
  }
}

TEST(Title, IsOneToFiveHundredTwelveBytes) {
  const auto title = [](std::string body) { return parse_title(body); };
  EXPECT_EQ(title(R"({"title":"a\"b"})").value(), "a\"b");
  EXPECT_TRUE(title(R"({"title":")" + std::string(512, 't') + "\"}"));
  EXPECT_FALSE(title(R"({"title":")" + std::string(513, 't') + "\"}"));
  for (const char* bad :
       {"", "{}", R"({"title":""})", R"({"title":1})", R"(["title"])", R"({"title":"a"}})"}) {
    EXPECT_FALSE(title(bad)) << bad;
  }
}

}  // namespace
}  // namespace sluice::server::cloudflare
