#include "postgres/error.h"

#include <gtest/gtest.h>

namespace sluice::postgres {
namespace {

TEST(PostgresError, ASqlstateTellsWhatToDo) {
  const struct {
    const char* sqlstate;
    ErrorCode code;
    Retry retry;
  } cases[] = {
      {"28P01", ErrorCode::unauthorized, Retry::fatal},
      {"28000", ErrorCode::unauthorized, Retry::fatal},
      {"42501", ErrorCode::unauthorized, Retry::fatal},
      {"3D000", ErrorCode::not_found, Retry::fatal},
      {"42P01", ErrorCode::not_found, Retry::fatal},
      {"57P04", ErrorCode::not_found, Retry::fatal},
      {"53100", ErrorCode::no_space, Retry::fatal},
      {"53300", ErrorCode::unavailable, Retry::again},
      {"40001", ErrorCode::unavailable, Retry::again},
      {"40P01", ErrorCode::unavailable, Retry::again},
      {"55P03", ErrorCode::unavailable, Retry::again},
      {"57014", ErrorCode::timeout, Retry::again},
      {"57P01", ErrorCode::unavailable, Retry::again},
      {"57P03", ErrorCode::unavailable, Retry::again},
      {"08006", ErrorCode::network, Retry::again},
      {"08P01", ErrorCode::protocol, Retry::never},
      {"23505", ErrorCode::invalid_argument, Retry::never},
      {"22P02", ErrorCode::invalid_argument, Retry::never},
      {"25006", ErrorCode::unsupported, Retry::fatal},
      {"XX000", ErrorCode::unavailable, Retry::never},
      {"", ErrorCode::network, Retry::again},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(meaning_of(each.sqlstate).code, each.code) << each.sqlstate;
    EXPECT_EQ(meaning_of(each.sqlstate).retry, each.retry) << each.sqlstate;
    EXPECT_FALSE(meaning_of(each.sqlstate).advice.empty()) << each.sqlstate;
  }
}

TEST(PostgresError, AMessageNamesThePlaceAndTheDeed) {
  const Error error = make_error({.sqlstate = "22P02", .message = "bad json", .detail = "line 1"},
                                 "PostgreSQL at x", "writing");
  EXPECT_EQ(error.message,
            "PostgreSQL at x answered error 22P02 while writing: \"bad json (line 1)\". The server "
            "does not take it as it is.");
}

TEST(PostgresError, ARowIsNotShown) {
  const Error error = make_error(
      {.sqlstate = "23514", .message = "check", .detail = "Failing row contains (secret)"}, "x",
      "writing");
  EXPECT_EQ(error.message.find("secret"), std::string::npos) << error.message;
}

TEST(PostgresError, APasswordIsNotQuoted) {
  EXPECT_EQ(quoted("user \"u\" with s3cret and s3cret\n", "s3cret"), "user \"u\" with *** and ***");
  EXPECT_EQ(quoted("one\n\ttwo  three\r\n", {}), "one two three");
  EXPECT_EQ(quoted("a word", "a"), "a word");
  EXPECT_LT(quoted(std::string(100'000, 'x'), "y").size(), 400u);
}

TEST(PostgresError, TheSqlstateOfAConnectionThatFailed) {
  EXPECT_EQ(
      sqlstate_in("connection to server at \"127.0.0.1\", port 1 failed: FATAL:  28P01: password "
                  "authentication failed for user \"x\"\nLOCATION:  auth_failed, auth.c:326\n"),
      "28P01");
  EXPECT_EQ(sqlstate_in("… failed: ВАЖНО:  3D000: база"), "3D000");
  EXPECT_EQ(sqlstate_in("connection refused"), "");
  EXPECT_EQ(sqlstate_in("FATAL:  sorry, too many clients already"), "");
  EXPECT_EQ(sqlstate_in(":  1234"), "");
  EXPECT_EQ(sqlstate_in(":  "), "");
}

}  // namespace
}  // namespace sluice::postgres
