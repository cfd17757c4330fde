#include "bulk/entry_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace sluice::bulk {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t kNow = 1'000'000;

struct Reading {
  Records records;
  std::string error;  // empty: the whole input was read
};

Reading read_with(EntryReader& reader, std::string_view text, std::size_t piece) {
  Reading reading;
  while (!text.empty()) {
    // A copy of its own, so that a sanitizer sees every step beyond it.
    const std::string chunk(text.substr(0, piece));
    text.remove_prefix(chunk.size());
    if (Result<> fed = reader.feed(chunk, reading.records); !fed) {
      reading.error = fed.error().message;
      return reading;
    }
  }
  if (Result<> ended = reader.finish(reading.records); !ended)
    reading.error = ended.error().message;
  return reading;
}

// Every entry and every bad record as one line of text.
std::vector<std::string> lines(const Reading& reading) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i != reading.records.entries.size(); ++i) {
    const store::EntryView& entry = reading.records.entries[i];
    std::string line = fmt::format("{}={}", entry.key, entry.value);
    if (!entry.metadata.empty()) line += fmt::format(" {}", entry.metadata);
    if (entry.expiration != 0) line += fmt::format(" @{}", entry.expiration);
    out.push_back(std::move(line));
  }
  for (const BadRecord& bad : reading.records.bad) out.push_back("! " + describe(bad));
  if (!reading.error.empty()) out.push_back("!! " + reading.error);
  return out;
}

// Reads `text` whole and in pieces of many sizes, which must make no difference.
std::vector<std::string> read(Format format, std::string_view text,
                              EntryReader::Options options = {.now = kNow}) {
  auto whole = make_entry_reader(format, options);
  const Reading reading = read_with(*whole, text, std::max<std::size_t>(text.size(), 1));
  std::vector<std::string> expected = lines(reading);
  EXPECT_EQ(reading.records.ends.size(), reading.records.entries.size());
  EXPECT_TRUE(std::is_sorted(reading.records.ends.begin(), reading.records.ends.end()));
  for (std::size_t piece = 1; piece < std::min<std::size_t>(text.size(), 40); ++piece) {
    auto pieces = make_entry_reader(format, options);
    const Reading again = read_with(*pieces, text, piece);
    EXPECT_EQ(lines(again), expected) << "in pieces of " << piece;
    EXPECT_EQ(again.records.ends, reading.records.ends);
  }
  return expected;
}

std::vector<std::string> ndjson(std::string_view text) {
  return read(Format::ndjson, text);
}
std::vector<std::string> array(std::string_view text) {
  return read(Format::json, text);
}
std::vector<std::string> csv(std::string_view text) {
  return read(Format::csv, text);
}

TEST(DetectFormat, ByTheFirstCharacter) {
  EXPECT_EQ(detect_format("  \n[{"), Format::json);
  EXPECT_EQ(detect_format("{\"key\""), Format::ndjson);
  EXPECT_EQ(detect_format("key,value"), Format::csv);
  EXPECT_EQ(detect_format("\xEF\xBB\xBF{"), Format::ndjson);
  EXPECT_EQ(detect_format(" \r\n\t"), std::nullopt);
  EXPECT_EQ(parse_format(name(Format::keys)), Format::keys);
  EXPECT_EQ(parse_format("NDJSON"), std::nullopt);
}

TEST(Ndjson, ReadsEveryField) {
  EXPECT_THAT(
      ndjson(
          "{\"key\":\"a\",\"value\":\"1\"}\n"
          "{\"value\":\"2\",\"metadata\":{\"x\": [1, 2.50]} "
          ",\"expiration\":2000000000,\"key\":\"b\"}\n"
          "\n"
          "  \r\n"
          " {\"key\":\"c\\u00e9\\n\",\"value\":\"aGk=\",\"base64\":true,\"expiration_ttl\":60} \r\n"
          "{\"key\":\"a2V5\",\"key_base64\":true,\"value\":\"\",\"other\":{\"a\":[]}}"),
      ElementsAre("a=1", "b=2 {\"x\": [1, 2.50]} @2000000000", "c\u00e9\n=hi @1000060", "key="));
}

TEST(Ndjson, KeepsMetadataByteForByte) {
  for (const char* metadata :
       {"{}", "[]", "\"text\"", "12", "-1.50e+3", "true", "false",
        "{ \"b\" : 1 , \"a\" : \"\\u00e9\\/\" }", "[[[]]]", "123456789012345678901234567890",
        "1e999", "\"\\ud800\"", "{\"a\":\"}]\"}", "[ 1 , 2 ]"}) {
    for (const char* behind : {"}", " }", ",\"expiration\":null}", " , \"x\" : 1 }"}) {
      const std::string text =
          std::string("{\"key\":\"k\",\"value\":\"v\",\"metadata\":  ") + metadata + behind;
      EXPECT_THAT(ndjson(text), ElementsAre(std::string("k=v ") + metadata)) << text;
    }
  }
}

TEST(Ndjson, NullIsNone) {
  EXPECT_THAT(ndjson(R"({"key":"a","value":"b","metadata":null,"base64":null,"expiration":null,)"
                     R"("expiration_ttl":null,"key_base64":null})"),
              ElementsAre("a=b"));
}

TEST(Ndjson, TimeToLiveWins) {
  EXPECT_THAT(ndjson(R"({"key":"a","value":"b","expiration":5000000,"expiration_ttl":100})"),
              ElementsAre("a=b @1000100"));
}

TEST(Ndjson, ReportsBadLinesAndGoesOn) {
  struct Case {
    const char* line;
    const char* reason;
  };
  for (const Case& c : {
           Case{R"({"value":"v"})", "no \"key\""},
           Case{R"({"key":"k"})", "no \"value\""},
           Case{R"({"key":"","value":"v"})", "the key is empty"},
           Case{R"({"key":1,"value":"v"})", "\"key\" is a number, not a string"},
           Case{R"({"key":"k","value":12})", "\"value\" is a number, not a string"},
           Case{R"({"key":"k","value":{"a":1}})", "\"value\" is an object"},
           Case{R"({"key":"k","value":["a"]})", "\"value\" is an array"},
           Case{R"({"key":"k","value":null})", "\"value\" is null"},
           Case{R"({"key":"k","value":true})", "\"value\" is a boolean"},
           Case{R"({"key":"k","value":"v","base64":"yes"})", "\"base64\" is a string"},
           Case{R"({"key":"k","value":"!!","base64":true})", "\"value\" is not valid base64"},
           Case{R"({"key":"k!","key_base64":true,"value":""})", "\"key\" is not valid base64"},
           Case{R"({"key":"k","value":"v","expiration":1.5})", "not a whole number"},
           Case{R"({"key":"k","value":"v","expiration":"7"})", "not a whole number"},
           Case{R"({"key":"k","value":"v","expiration":1e3})", "not a whole number"},
           Case{R"({"key":"k","value":"v","expiration":99999999999999999999})",
                "not a whole number"},
           Case{R"({"key":"k","value":"v","expiration":-1})", "negative"},
           Case{R"({"key":"k","value":"v","expiration":1700000000000})", "not milliseconds"},
           Case{R"({"key":"k","value":"v","expiration_ttl":0})", "not a possible number"},
           Case{R"({"key":"k","value":"v","expiration_ttl":-5})", "not a possible number"},
           Case{R"({"key":"k","value":"v","expiration_ttl":9223372036854775807})",
                "not a possible number"},
           Case{R"({"key":"k","key":"l","value":"v"})", "the field \"key\" is there twice"},
           Case{R"({"key":"k","value":"v","metadata":{"a":tru}})",
                "\"metadata\" is not valid JSON"},
           Case{R"({"key":"k","value":"v","metadata":{"a":01}})", "\"metadata\" is not valid JSON"},
           Case{R"({"key":"k","value":"v","metadata":{"a":"\q"}})",
                "\"metadata\" is not valid JSON"},
           Case{R"({"key":"k","value":"v","metadata":{"a" 1}})", "\"metadata\" is not valid JSON"},
           Case{R"({"key":"k","value":"v","metadata":})", "not valid JSON"},
           Case{R"({"key":"k","value":"v","x":nul})", "not valid JSON"},
           Case{R"({"key":"k","value":"v"} {})", "not valid JSON"},
           Case{R"({"key":"k","value":"v"},)", "not valid JSON"},
           Case{R"({"key":"k","value":"v"}})", "not valid JSON"},
           Case{R"({"key":"k","value":"v")", "not valid JSON"},
           Case{R"({"key":"k","value":"v)", "a string is not closed"},
           Case{R"({"key":"k" "value":"v"})", "not valid JSON"},
           Case{R"({"key":"k","value":"\x"})", "invalid escape"},
           Case{R"({"key":"k","value":"\ud800"})", "surrogate"},
           Case{"{\"key\":\"k\",\"value\":\"\xff\"}", "not UTF-8"},
           Case{"{\"key\":\"k\",\"value\":\"a\tb\"}", "control character"},
           Case{"[1,2]", "not a JSON object"},
           Case{"\"text\"", "not a JSON object"},
           Case{"12", "not a JSON object"},
           Case{"hello", "not valid JSON"},
           Case{"key,value", "not valid JSON"},
       }) {
    const std::string text = std::string("{\"key\":\"1\",\"value\":\"\"}\n") + c.line +
                             "\n{\"key\":\"2\",\"value\":\"\"}\n";
    EXPECT_THAT(ndjson(text),
                ElementsAre("1=", "2=", AllOf(HasSubstr("! line 2: "), HasSubstr(c.reason))))
        << c.line;
  }
}

TEST(Ndjson, TruncatedAtEveryPlace) {
  const std::string record =
      R"({"key":"k\u00e9","value":"v","metadata":{"a":[1,"}"]},"expiration":12})";
  for (std::size_t size = 1; size < record.size(); ++size) {
    const std::vector<std::string> read =
        ndjson("{\"key\":\"1\",\"value\":\"\"}\n" + record.substr(0, size));
    ASSERT_EQ(read.size(), 2U) << size;
    EXPECT_EQ(read[0], "1=");
    EXPECT_THAT(read[1], AllOf(HasSubstr("!! line 2: "), HasSubstr("truncated"))) << size;
  }
  EXPECT_THAT(ndjson(record), ElementsAre("k\u00e9=v {\"a\":[1,\"}\"]} @12"));
  EXPECT_THAT(ndjson(""), IsEmpty());
}

TEST(Ndjson, TooLongALine) {
  const std::vector<std::string> result =
      read(Format::ndjson,
           "{\"key\":\"1\",\"value\":\"\"}\n{\"key\":\"2\",\"value\":\"" + std::string(100, 'x'),
           {.now = kNow, .longest_record = 64});
  EXPECT_THAT(result,
              ElementsAre("1=", AllOf(HasSubstr("!! line 2: "), HasSubstr("longer than 64"))));
}

TEST(Ndjson, VeryLongValueThenShortOnes) {
  const std::string value(3'000'000, 'v');
  auto reader = make_entry_reader(Format::ndjson, {});
  const Reading reading = read_with(
      *reader, "{\"key\":\"a\",\"value\":\"" + value + "\"}\n{\"key\":\"b\",\"value\":\"w\"}\n",
      65536);
  ASSERT_EQ(reading.records.entries.size(), 2U);
  EXPECT_EQ(reading.records.entries[0].value, value);
  EXPECT_EQ(reading.records.entries[1].value, "w");
}

TEST(Ndjson, ByteOrderMarkIsPassedOver) {
  EXPECT_THAT(ndjson("\xEF\xBB\xBF{\"key\":\"a\",\"value\":\"b\"}\n"), ElementsAre("a=b"));
}

TEST(JsonArray, ReadsWhatWranglerWrites) {
  EXPECT_THAT(array("[\n  {\n    \"key\": \"a\",\n    \"value\": \"[1]\"\n  },\n"
                    "  {\"key\":\"b\",\"value\":\"x\\\"}\\\\\",\"metadata\":{\"k\" : "
                    "\"]}\\\"\"},\"base64\":false}\n]\n"),
              ElementsAre("a=[1]", "b=x\"}\\ {\"k\" : \"]}\\\"\"}"));
  EXPECT_THAT(array("[]"), IsEmpty());
  EXPECT_THAT(array(" \n[ \n ] \r\n"), IsEmpty());
  EXPECT_THAT(array("\xEF\xBB\xBF[{\"key\":\"a\",\"value\":\"b\"}]"), ElementsAre("a=b"));
}

TEST(JsonArray, GoesOnBehindElementsThatAreNoEntries) {
  EXPECT_THAT(
      array(
          R"([{"key":"a","value":"1"},12,"te,x]t",null,[{"key":"n"}],{"key":5},{"key":"b","value":"2"}])"),
      ElementsAre("a=1", "b=2", "! byte 25: not a JSON object", "! byte 28: not a JSON object",
                  "! byte 37: not a JSON object", "! byte 42: not a JSON object",
                  "! byte 56: \"key\" is a number, not a string"));
}

TEST(JsonArray, StopsWhereNothingMoreCanBeRead) {
  struct Case {
    const char* text;
    const char* error;
  };
  for (const Case& c : {
           Case{"", "the input is empty"},
           Case{"{}", "byte 0: a JSON array, which begins with \"[\", is expected"},
           Case{"\xEF\xBB[", "a JSON array"},
           Case{"[,]", "byte 1: an element of the array is expected, but \",\" found"},
           Case{R"([{"key":"a","value":"b"},])", "byte 25: an element"},
           Case{R"([{"key":"a","value":"b"} {}])", "byte 25: a comma or the end"},
           Case{R"([{"key":"a","value":"b"}]x)", "byte 25: nothing more"},
           Case{R"([{"key":"a","value":"b"}][])", "byte 25: nothing more"},
           Case{R"([{"key":"a","value":tru}])",
                "byte 1: the element of the array that begins here cannot"},
           Case{R"([{"key":"a","value":"b"]})",
                "byte 1: the element of the array that begins here cannot"},
           Case{R"([nul])", "byte 1: the element of the array that begins here cannot"},
           Case{R"([a"b"])", "byte 1: the element of the array that begins here cannot"},
           Case{"[{\"key\":\"\x01\"}]", "byte 1: the element"},
           Case{"[", "closed by \"]\"; it is truncated"},
           Case{"[  ", "closed by \"]\"; it is truncated"},
           Case{R"([{"key":"a","value":"b"})", "closed by \"]\"; it is truncated"},
           Case{R"([{"key":"a","value":"b"},)", "closed by \"]\"; it is truncated"},
           Case{R"([{"key":"a","value":"b)", "byte 1: the input ends in the middle"},
           Case{R"([12)", "byte 1: the input ends in the middle"},
       }) {
    const std::vector<std::string> result = array(c.text);
    ASSERT_FALSE(result.empty()) << c.text;
    EXPECT_THAT(result.back(), AllOf(HasSubstr("!! "), HasSubstr(c.error))) << c.text;
  }
}

TEST(JsonArray, TruncatedAtEveryPlace) {
  const std::string text =
      R"([{"key":"a","value":"1"}, {"key":"b\"]","value":"2","metadata":[{}]} ])";
  for (std::size_t size = 1; size < text.size(); ++size) {
    EXPECT_THAT(array(text.substr(0, size)).back(), HasSubstr("truncated")) << size;
  }
}

TEST(JsonArray, TooLongAnElement) {
  EXPECT_THAT(read(Format::json, "[{\"key\":\"" + std::string(100, 'x') + "\"}]",
                   {.now = kNow, .longest_record = 64}),
              ElementsAre(HasSubstr("longer than 64 bytes")));
}

TEST(Csv, ReadsColumnsInAnyOrder) {
  EXPECT_THAT(csv("Value, key ,metadata,expiration,base64\r\n"
                  "v1,k1,,,\r\n"
                  "\"a \"\"b\"\",\r\n\",k2,\"{\"\"x\"\": 1}\",2000000000,\n"
                  "\n"
                  "aGk=,k3,null,,TRUE\n"
                  ",\"k4\",[1],,false"),
              ElementsAre("k1=v1", "k2=a \"b\",\r\n {\"x\": 1} @2000000000", "k3=hi", "k4= [1]"));
  EXPECT_THAT(csv("\xEF\xBB\xBFkey,value\na,b\n"), ElementsAre("a=b"));
  EXPECT_THAT(csv("\xEF\xBB\xBF\"key\",\"value\"\na,b\n"), ElementsAre("a=b"));
  EXPECT_THAT(csv("key,value,expiration_ttl\na,b,60"), ElementsAre("a=b @1000060"));
  EXPECT_THAT(csv("key,value"), IsEmpty());
  EXPECT_THAT(csv(std::string_view("key,value\n\0\xff,\xfe\n", 15)),
              ElementsAre(std::string("\0\xff=\xfe", 4)));
}

TEST(Csv, ReportsBadRecordsAndGoesOn) {
  struct Case {
    const char* record;
    const char* reason;
  };
  for (const Case& c : {
           Case{"a", "the record has 1 field, the header 5"},
           Case{"a,b,c,d,e,f", "the record has 6 fields, the header 5"},
           Case{",v,,,", "the key is empty"},
           Case{"a,v,maybe,,", "\"base64\" is neither true nor false"},
           Case{"a,!,true,,", "\"value\" is not valid base64"},
           Case{"a,v,,{,", "\"metadata\" is not valid JSON"},
           Case{"a,v,,1 2,", "\"metadata\" is not valid JSON"},
           Case{"a,v,,,soon", "\"expiration\" is not a whole number"},
           Case{"a,v,,,1700000000000", "not milliseconds"},
           Case{"a,v\"w,,,", "quote in a field"},
           Case{"a,\"v\"w,,,", "something follows the quote"},
           Case{"a,v\rw,,,", "carriage return"},
       }) {
    const std::string text =
        std::string("key,value,base64,metadata,expiration\n\"1\n\",,,,\n") + c.record + "\n2,,,,\n";
    EXPECT_THAT(csv(text),
                ElementsAre("1\n=", "2=", AllOf(HasSubstr("! line 4: "), HasSubstr(c.reason))))
        << c.record;
  }
  EXPECT_THAT(csv("key,value\na," + std::string(500, ',') + "\nb,c\n"),
              ElementsAre("b=c", HasSubstr("the record has 502 fields")));
}

TEST(Csv, RefusesAHeaderThatItDoesNotUnderstand) {
  struct Case {
    const char* header;
    const char* error;
  };
  for (const Case& c : {
           Case{"key,valeu\n", "unknown column \"valeu\". Did you mean \"value\"?"},
           Case{"key;value\n", "separated by commas"},
           Case{"key,value,key\n", "\"key\" twice"},
           Case{"key,metadata\n", "no column \"value\""},
           Case{"value\n", "no column \"key\""},
           Case{"", "no CSV header"},
           Case{"\n\n", "no CSV header"},
           Case{"key,va\"lue\n", "header cannot be read"},
           Case{"key,\"value", "within the quotes"},
           Case{"key,\x1b[2J\n", "\\x1b[2j"},
       }) {
    const std::vector<std::string> result = csv(c.header);
    EXPECT_THAT(result, ElementsAre(AllOf(HasSubstr("!! "), HasSubstr(c.error)))) << c.header;
  }
}

TEST(Csv, Truncated) {
  EXPECT_THAT(csv("key,value,metadata\na,b,1\nc,\"d"),
              ElementsAre("a=b 1", AllOf(HasSubstr("!! line 3: "), HasSubstr("truncated"))));
  EXPECT_THAT(csv("key,value,metadata\na,b,1\nc,d"),
              ElementsAre("a=b 1", AllOf(HasSubstr("!! line 3: "), HasSubstr("2 of 3 fields"))));
}

TEST(Csv, TooLongARecord) {
  EXPECT_THAT(read(Format::csv, "key,value\na,\"" + std::string(100, 'x'),
                   {.now = kNow, .longest_record = 64}),
              ElementsAre(AllOf(HasSubstr("line 2"), HasSubstr("is a quote missing?"))));
}

std::vector<std::string> keys(std::string_view text, bool nul = false) {
  auto reader = make_keys_reader(nul, {});
  const Reading whole = read_with(*reader, text, std::max<std::size_t>(text.size(), 1));
  for (std::size_t piece = 1; piece < std::min<std::size_t>(text.size(), 20); ++piece) {
    auto again = make_keys_reader(nul, {});
    EXPECT_EQ(lines(read_with(*again, text, piece)), lines(whole));
  }
  std::vector<std::string> out;
  for (const store::EntryView& entry : whole.records.entries) {
    EXPECT_EQ(entry.presence, store::Presence::listed);
    out.emplace_back(entry.key);
  }
  for (const BadRecord& bad : whole.records.bad) out.push_back("! " + describe(bad));
  return out;
}

TEST(Keys, OneALine) {
  EXPECT_THAT(keys("a\nb c\r\n\n\xEF\xBB\xBF x\n\"q\"\nlast"),
              ElementsAre("a", "b c", "\xEF\xBB\xBF x", "\"q\"", "last"));
  EXPECT_THAT(keys("\xEF\xBB\xBFz\n"), ElementsAre("z"));
  EXPECT_THAT(keys("\xff\xfe\n"), ElementsAre("\xff\xfe"));
  EXPECT_THAT(keys(""), IsEmpty());
}

TEST(Keys, EndedByNul) {
  EXPECT_THAT(keys(std::string_view("a\nb\0\0c\r\0\xEF\xBB\xBF", 11), true),
              ElementsAre("a\nb", "c\r", "\xEF\xBB\xBF"));
}

TEST(Keys, TakesTheFileOfFailedKeysAndListings) {
  EXPECT_THAT(keys("{\"key\":\"a\\nb\",\"error\":\"HTTP 500\"}\n{\"name\":1,\"key\":\"c\"}\r\n"
                   "{\"key\":\"/w==\",\"key_base64\":true}\n"),
              ElementsAre("a\nb", "c", "\xff"));
}

TEST(Keys, BracesAreNotAlwaysJson) {
  EXPECT_THAT(keys("{user}:1\n{user1000}\n{\n{}x\n"),
              ElementsAre("{user}:1", "{user1000}", "{", "{}x"));
}

TEST(Keys, RefusesWhatMayBeADamagedFile) {
  EXPECT_THAT(keys("{\"key\":\"abc\",\"err\na\n"),
              ElementsAre("a", AllOf(HasSubstr("line 1"), HasSubstr("cannot be read"))));
  EXPECT_THAT(keys("a\n{\"name\":\"x\"}\n"),
              ElementsAre("a", AllOf(HasSubstr("line 2"), HasSubstr("without \"key\""))));
  EXPECT_THAT(keys("{\"key\":7}\n{\"key\":\"\"}\n"),
              ElementsAre(HasSubstr("is a number"), HasSubstr("the key is empty")));
}

}  // namespace
}  // namespace sluice::bulk
