// Tests of json_text, base64, percent and utf8.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <simdjson.h>

#include "base/base64.h"
#include "base/json_text.h"
#include "base/percent.h"
#include "base/utf8.h"

namespace sluice {
namespace {

std::string json(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string base64(std::string_view bytes) {
  std::string out;
  append_base64(out, bytes);
  return out;
}

std::string percent(std::string_view bytes) {
  std::string out;
  append_percent_encoded(out, bytes);
  return out;
}

TEST(JsonText, EscapesOnlyWhatItMust) {
  EXPECT_EQ(json(""), "\"\"");
  EXPECT_EQ(json("plain"), "\"plain\"");
  EXPECT_EQ(json("a\"b\\c/d"), R"("a\"b\\c/d")");
  EXPECT_EQ(json("\b\f\n\r\t"), R"("\b\f\n\r\t")");
  EXPECT_EQ(json(std::string_view("\0\x1f\x7f", 3)), "\"\\u0000\\u001f\x7f\"");
  EXPECT_EQ(json("ключ 🗝"), "\"ключ 🗝\"");
}

TEST(JsonText, FindsAnEscapeAtEveryPlaceOfAWord) {
  // Bytes next to the borders of what must be escaped, beside a byte that must be.
  for (const char neighbour : {'!', '#', '[', ']', '\x7f', ' ', '\xff', '\x80', '\xa2', '\xdc'}) {
    for (const char special : {'"', '\\', '\n', '\0', '\x1f'}) {
      for (std::size_t size = 1; size < 20; ++size) {
        for (std::size_t at = 0; at < size; ++at) {
          std::string text(size, neighbour);
          text[at] = special;
          const std::string escape = json(std::string_view(&special, 1));
          const std::string expected = "\"" + text.substr(0, at) +
                                       escape.substr(1, escape.size() - 2) + text.substr(at + 1) +
                                       "\"";
          ASSERT_EQ(json(text), expected);
        }
      }
    }
  }
}

RC_GTEST_PROP(JsonText, AParserReadsItBack, ()) {
  std::string text;
  for (const auto code :
       *rc::gen::container<std::vector<std::uint32_t>>(rc::gen::weightedOneOf<std::uint32_t>(
           {{3, rc::gen::inRange<std::uint32_t>(0, 0x80)},
            {1, rc::gen::inRange<std::uint32_t>(0x80, 0x800)}}))) {
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else {
      text += static_cast<char>(0xc0 | code >> 6);
      text += static_cast<char>(0x80 | (code & 0x3f));
    }
  }
  RC_ASSERT(is_utf8(text));
  simdjson::dom::parser parser;
  std::string_view read;
  RC_ASSERT(parser.parse("[" + json(text) + "]").at(0).get(read) == simdjson::SUCCESS);
  RC_ASSERT(read == text);
}

TEST(Base64, KnownTexts) {
  // RFC 4648, section 10.
  const std::pair<std::string_view, std::string_view> table[] = {{"", ""},
                                                                 {"f", "Zg=="},
                                                                 {"fo", "Zm8="},
                                                                 {"foo", "Zm9v"},
                                                                 {"foob", "Zm9vYg=="},
                                                                 {"fooba", "Zm9vYmE="},
                                                                 {"foobar", "Zm9vYmFy"},
                                                                 {"\xfb\xff", "+/8="}};
  for (const auto& [bytes, text] : table) {
    EXPECT_EQ(base64(bytes), text);
    EXPECT_EQ(decode_base64(text).value(), bytes);
  }
}

TEST(Base64, RefusesWhatNoEncoderWrites) {
  for (const std::string_view text : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm 9", "Zm9v\n",
                                      "====", "Z===", "Zg==Zg==", "=Zg=", "Zm-_", "Zm9v="}) {
    EXPECT_FALSE(decode_base64(text)) << text;
  }
}

RC_GTEST_PROP(Base64, RoundTrip, (const std::string& bytes)) {
  RC_ASSERT(decode_base64(base64(bytes)).value() == bytes);
}

TEST(Percent, EncodesEverythingButUnreserved) {
  EXPECT_EQ(percent("AZaz09-._~"), "AZaz09-._~");
  EXPECT_EQ(percent("a/b c?d#e%f+g"), "a%2Fb%20c%3Fd%23e%25f%2Bg");
  EXPECT_EQ(percent("é"), "%C3%A9");
  EXPECT_EQ(percent_decode("a+b%2fc").value(), "a+b/c");
  for (const std::string_view text : {"%", "%4", "%zz", "a%2", "%-1"}) {
    EXPECT_FALSE(percent_decode(text)) << text;
  }
}

RC_GTEST_PROP(Percent, RoundTrip, (const std::string& bytes)) {
  RC_ASSERT(percent_decode(percent(bytes)).value() == bytes);
}

TEST(Utf8, Validates) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("ключ"));
  EXPECT_TRUE(is_utf8(std::string_view("\0", 1)));
  EXPECT_FALSE(is_utf8("\xff"));
  EXPECT_FALSE(is_utf8("\xc0\x80"));          // overlong
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));      // a surrogate
  EXPECT_FALSE(is_utf8("\xf4\x90\x80\x80"));  // beyond U+10FFFF
  EXPECT_FALSE(is_utf8("\xe2\x82"));          // cut
}

TEST(Utf8, Width) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("ключ"), 4u);
  EXPECT_EQ(display_width("漢字"), 4u);
  EXPECT_EQ(display_width("e\u0301"), 1u);
  EXPECT_EQ(display_width("\xff\xfe"), 2u);
}

TEST(Utf8, PrintableShowsWhatWouldAct) {
  EXPECT_EQ(printable("plain ключ 漢"), "plain ключ 漢");
  EXPECT_EQ(printable("a\nb\tc\rd"), "a\\nb\\tc\\rd");
  EXPECT_EQ(printable("\x1b[2J\x7f"), "\\x1b[2J\\x7f");
  EXPECT_EQ(printable("\u009b"), "\\u{009b}");
  EXPECT_EQ(printable("abc\u202edef"), "abc\\u{202e}def");
  EXPECT_EQ(printable("\xff"), "\\xff");
}

RC_GTEST_PROP(Utf8, PrintableIsPlainUtf8, (const std::string& bytes)) {
  const std::string shown = printable(bytes);
  RC_ASSERT(is_utf8(shown));
  RC_ASSERT(printable(shown) == shown);
}

TEST(Utf8, Truncates) {
  EXPECT_EQ(truncated_to_width("abcdef", 6), "abcdef");
  EXPECT_EQ(truncated_to_width("abcdef", 5), "abcd…");
  EXPECT_EQ(truncated_to_width("漢字漢字", 6), "漢字…");
  EXPECT_EQ(truncated_to_width("abc", 1), "…");
  EXPECT_EQ(truncated_to_width("abc", 0), "");
}

}  // namespace
}  // namespace sluice
