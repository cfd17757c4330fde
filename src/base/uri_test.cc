// Tests of uri and secret.
#include "base/uri.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/secret.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Host = StoreUrl::Host;

TEST(StoreUrl, WithoutAuthorityThePathIsLiteral) {
  EXPECT_EQ(StoreUrl::parse("memory:")->scheme, "memory");
  EXPECT_EQ(StoreUrl::parse("memory:")->path, "");
  EXPECT_EQ(StoreUrl::parse("SQLite:/tmp/my file%20#1?.db")->scheme, "sqlite");
  EXPECT_EQ(StoreUrl::parse("sqlite:/tmp/my file%20#1?.db")->path, "/tmp/my file%20#1?.db");
  EXPECT_EQ(StoreUrl::parse("sqlite:relative.db")->path, "relative.db");
}

TEST(StoreUrl, WithAuthority) {
  const StoreUrl url = StoreUrl::parse("redis://me:p%40ss@host:6379/2?tls=no&name=a%20b").value();
  EXPECT_EQ(url.user, "me");
  EXPECT_EQ(url.password.reveal(), "p@ss");
  EXPECT_THAT(url.hosts, ElementsAre(Host{"host", 6379}));
  EXPECT_EQ(url.path, "/2");
  EXPECT_EQ(url.parameter("name"), "a b");
  EXPECT_EQ(url.parameter("tls"), "no");
  EXPECT_EQ(url.parameter("none"), std::nullopt);

  const StoreUrl cluster = StoreUrl::parse("redis-cluster://a:7000,b,[::1]:7002").value();
  EXPECT_THAT(cluster.hosts,
              ElementsAre(Host{"a", 7000}, Host{"b", std::nullopt}, Host{"::1", 7002}));

  EXPECT_THAT(StoreUrl::parse("cloudflare://0123456789abcdef")->hosts,
              ElementsAre(Host{"0123456789abcdef", std::nullopt}));
  EXPECT_THAT(StoreUrl::parse("sqlite:///tmp/a%20b.db")->hosts, IsEmpty());
  EXPECT_EQ(StoreUrl::parse("sqlite:///tmp/a%20b.db")->path, "/tmp/a b.db");
  // An "@" that nobody encoded.
  EXPECT_EQ(StoreUrl::parse("redis://u:p@ss@h")->password.reveal(), "p@ss");
}

TEST(StoreUrl, RefusesInASentenceWithoutThePassword) {
  for (const std::string_view text :
       {"", "x", "/path", "://x", "1x:y", "redis://u:hunter2@host:99999", "redis://u:hunter2@",
        "redis://u:hunter2@h:x", "redis://u:hunter2%@h", "redis://u:hunter2@a,,b",
        "redis://u:hunter2@a,", "redis://u:hunter2@h/a b", "redis://u:hunter2@h/#x",
        "redis://u:hunter2@h:0"}) {
    const auto parsed = StoreUrl::parse(text);
    if (text == "redis://u:hunter2@") continue;  // no host: that is for the backend to refuse
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(parsed.error().message, Not(HasSubstr("hunter2"))) << text;
  }
}

// What was meant as a password, and stands where something else is read.
TEST(StoreUrl, RefusesWithoutWhatMayBeAPassword) {
  for (const std::string_view text :
       {"redis://:hunter2", "redis://u:hunter2", "redis://u:hunter2/x@h", "redis://u:hunter2?x@h",
        "redis://u:hunter2#x@h", "redis://u@h:1:hunter2"}) {
    const auto parsed = StoreUrl::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message, Not(HasSubstr("hunter2"))) << text;
    EXPECT_EQ(without_password(text), "redis:***") << text;
  }
  for (const std::string_view text :
       {"redis:u:hunter2@h", "redis:/u:hunter2@h", "redis://u:1/hunter2@h"}) {
    EXPECT_EQ(without_password(text), "redis:***") << text;
  }
  EXPECT_EQ(without_password("sqlite:/a@b.db"), "sqlite:/a@b.db");
}

TEST(StoreUrl, Redacts) {
  EXPECT_EQ(StoreUrl::parse("redis://me:hunter2@h:1/2")->redacted(), "redis://me:***@h:1/2");
  EXPECT_EQ(StoreUrl::parse("redis://:hunter2@[::1]:1")->redacted(), "redis://:***@[::1]:1");
  EXPECT_EQ(StoreUrl::parse("postgres://h/db?password=hunter2&x=1")->redacted(),
            "postgres://h/db?password=***&x=1");
  EXPECT_EQ(without_password("sqlite:/a b.db"), "sqlite:/a b.db");
  EXPECT_EQ(without_password("redis://h"), "redis://h");
  EXPECT_EQ(without_password("redis://u:hunter2@h"), "redis://u:***@h");
  EXPECT_EQ(without_password("redis://u%40x:hunter2@y@h/a%20b?c=%3F"),
            "redis://u%40x:***@h/a%20b?c=%3F");
  EXPECT_EQ(without_password("redis://:hunter2@h"), "redis://:***@h");
  EXPECT_EQ(without_password("redis://u:hunter2@h:bad"), "redis:***");
}

RC_GTEST_PROP(StoreUrl, NeverShowsAPassword, (const std::string& tail)) {
  const std::string url = "redis://u:hunter2@" + tail;
  const auto parsed = StoreUrl::parse(url);
  if (parsed) {
    RC_ASSERT(parsed->redacted().find("hunter2") == std::string::npos);
  } else {
    RC_ASSERT(parsed.error().message.find("hunter2") == std::string::npos);
  }
  RC_ASSERT(without_password(url).find("hunter2") == std::string::npos);
}

TEST(Secret, IsNeverFormatted) {
  const Secret secret("hunter2");
  EXPECT_EQ(fmt::format("{}", secret), "***");
  EXPECT_EQ(secret.reveal(), "hunter2");
}

TEST(Secret, LeavesNothingBehind) {
  for (const std::string text :
       {"short", "a text that does not fit into the string object itself"}) {
    alignas(Secret) unsigned char memory[sizeof(Secret)];
    auto* secret = new (memory) Secret(text);
    const char* inside = secret->reveal().data();
    Secret moved(std::move(*secret));
    EXPECT_EQ(moved.reveal(), text);
    EXPECT_TRUE(secret->empty());
    moved = Secret("other");
    EXPECT_EQ(moved.reveal(), "other");
    Secret copy = moved;
    copy = *&copy;
    EXPECT_EQ(copy.reveal(), "other");
    // A short text lay in `memory` itself, so that it can be looked at afterwards.
    const auto* begin = reinterpret_cast<const char*>(memory);
    if (inside >= begin && inside < begin + sizeof memory) {
      EXPECT_EQ(std::string_view(begin, sizeof memory).find(text), std::string_view::npos);
    }
    secret->~Secret();
  }
}

TEST(Secret, ConstantTimeEqual) {
  EXPECT_TRUE(constant_time_equal("", ""));
  EXPECT_TRUE(constant_time_equal("token", "token"));
  EXPECT_FALSE(constant_time_equal("token", "tokex"));
  EXPECT_FALSE(constant_time_equal("token", "xoken"));
  EXPECT_FALSE(constant_time_equal("token", "toke"));
}

}  // namespace
}  // namespace sluice
