#include "redis/replies.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "redis/commands.h"

namespace sluice::redis {
namespace {

constexpr std::size_t kEnough = 1 << 20;

std::string text_of(const Commands& commands) {
  std::string text;
  for (const std::string_view piece : commands.pieces()) text += piece;
  return text;
}

TEST(Commands, AreRespText) {
  Commands commands;
  commands.add_command("SET", "k", std::string_view("a\0b\r\n", 5));
  commands.add_command("SELECT", std::int64_t{-12});
  commands.begin(2);
  commands.add("GET");
  commands.add_joined({"pre:", "", "key"});
  using std::string_literals::operator""s;
  EXPECT_EQ(text_of(commands),
            "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\0b\r\n\r\n"
            "*2\r\n$6\r\nSELECT\r\n$3\r\n-12\r\n*2\r\n$3\r\nGET\r\n$7\r\npre:key\r\n"s);
  EXPECT_EQ(commands.count(), 3u);
  EXPECT_EQ(commands.bytes(), text_of(commands).size());
}

TEST(Commands, LongArgumentsAreNotCopied) {
  const std::string value(100'000, 'x');
  Commands commands;
  commands.add_command("SET", "k", value);
  commands.add_command("GET", "k");
  const auto pieces = commands.pieces();
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[1].data(), value.data());
  EXPECT_EQ(text_of(commands), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + value +
                                   "\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
  EXPECT_EQ(commands.bytes(), text_of(commands).size());
}

TEST(Replies, AreReadInOrder) {
  ReplyReader reader;
  reader.expect(6, kEnough);
  using std::string_literals::operator""s;
  const std::string whole =
      "+OK\r\n-ERR no\r\n:-42\r\n$-1\r\n$3\r\na\0b\r\n*3\r\n*2\r\n:1\r\n:2\r\n*-1\r\n$0\r\n\r\n"s;
  for (const char byte : whole) {
    EXPECT_FALSE(reader.complete());
    ASSERT_TRUE(reader.feed({&byte, 1}));
  }
  ASSERT_TRUE(reader.complete());
  Replies replies = reader.take();
  EXPECT_EQ(replies.next().text, "OK");
  const Reply& error = replies.next();
  EXPECT_TRUE(error.is_error());
  EXPECT_EQ(error.text, "ERR no");
  EXPECT_EQ(replies.next().integer, -42);
  EXPECT_EQ(replies.next().kind, ReplyKind::nil);
  EXPECT_EQ(replies.next().text, std::string_view("a\0b", 3));
  EXPECT_TRUE(replies.next().is_array(3));
  replies.skip();  // the array in it
  EXPECT_EQ(replies.next().kind, ReplyKind::nil);
  const Reply& empty = replies.next();
  EXPECT_EQ(empty.kind, ReplyKind::text);
  EXPECT_EQ(empty.text, "");
  EXPECT_TRUE(replies.at_end());
  EXPECT_EQ(replies.next().kind, ReplyKind::nil) << "past the end";
  replies.skip();
}

TEST(Replies, TextsStayWhereTheyAre) {
  ReplyReader reader;
  std::string wire;
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 3000; ++i) {
    texts.emplace_back(i % 100 == 0 ? 40'000 : i % 70, static_cast<char>('a' + i % 26));
    wire += fmt::format("${}\r\n{}\r\n", texts.back().size(), texts.back());
  }
  reader.expect(texts.size(), wire.size());
  ASSERT_TRUE(reader.feed(wire));
  ASSERT_TRUE(reader.complete());
  Replies replies = reader.take();
  Replies moved = std::move(replies);
  for (const std::string& text : texts) ASSERT_EQ(moved.next().text, text);
}

TEST(Replies, TheReaderCanBeUsedAgain) {
  ReplyReader reader;
  for (int i = 0; i < 3; ++i) {
    reader.expect(1, 100);
    ASSERT_TRUE(reader.feed("$5\r\nhel"));
    EXPECT_FALSE(reader.complete());
    ASSERT_TRUE(reader.feed("lo\r\n"));
    ASSERT_TRUE(reader.complete());
    EXPECT_EQ(reader.take().next().text, "hello");
  }
}

TEST(Replies, MoreThanWasAskedForIsAnError) {
  ReplyReader reader;
  reader.expect(1, kEnough);
  auto fed = reader.feed("+OK\r\n+OK\r\n");
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, ErrorCode::protocol);
}

TEST(Replies, LargeAnswersEndBeforeTheyFillTheMemory) {
  {
    ReplyReader reader;
    reader.expect(1, 1000);
    auto fed = reader.feed("$5000\r\n" + std::string(1200, 'x'));
    ASSERT_FALSE(fed);
    EXPECT_EQ(fed.error().code, ErrorCode::too_large);
    EXPECT_EQ(fed.error().retry, Retry::smaller);
  }
  {
    // Many empty replies take more memory than they have bytes.
    ReplyReader reader;
    reader.expect(1, std::size_t{1} << 30);
    std::string wire = "*2000000\r\n";
    for (int i = 0; i < 1'000'100; ++i) wire += "*0\r\n";
    auto fed = reader.feed(wire);
    ASSERT_FALSE(fed);
    EXPECT_EQ(fed.error().code, ErrorCode::protocol);
  }
}

TEST(Replies, WhatIsAnnouncedIsNotAllocated) {
  for (const std::string_view wire :
       {"*2147483647\r\n", "$9223372036854775807\r\n", "$4000000000\r\n"}) {
    ReplyReader reader;
    reader.expect(1, kEnough);
    (void)reader.feed(wire);
    EXPECT_FALSE(reader.complete());
  }
}

TEST(Replies, WhatIsNotResp2IsAnError) {
  for (const std::string_view wire :
       {"HTTP/1.1 400 Bad Request\r\n", "%1\r\n+a\r\n+b\r\n", "_\r\n", "$x\r\n", "*x\r\n", ":\r\n",
        "$-2\r\n", "*-2\r\n", "\x16\x03\x01",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"}) {
    ReplyReader reader;
    reader.expect(1, kEnough);
    auto fed = reader.feed(wire);
    ASSERT_FALSE(fed) << wire;
    EXPECT_EQ(fed.error().code, ErrorCode::protocol) << wire;
  }
}

// However the bytes are cut, they mean the same.
TEST(Replies, CutsMakeNoDifference) {
  rc::check([] {
    std::string wire;
    const auto texts = *rc::gen::arbitrary<std::vector<std::string>>();
    for (const std::string& text : texts) wire += fmt::format("${}\r\n{}\r\n", text.size(), text);
    ReplyReader reader;
    reader.expect(texts.size(), wire.size() + 1);
    for (std::string_view rest = wire; !rest.empty();) {
      const auto size = *rc::gen::inRange<std::size_t>(1, rest.size() + 1);
      const bool fed = reader.feed(rest.substr(0, size)).has_value();
      RC_ASSERT(fed);
      rest.remove_prefix(size);
    }
    RC_ASSERT(reader.complete());
    Replies replies = reader.take();
    for (const std::string& text : texts) RC_ASSERT(replies.next().text == text);
    RC_ASSERT(replies.at_end());
  });
}

}  // namespace
}  // namespace sluice::redis
