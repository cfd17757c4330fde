#include "redis/server_error.h"

#include <gtest/gtest.h>

namespace sluice::redis {
namespace {

TEST(ServerError, MeansWhatTheServerSays) {
  struct Case {
    std::string_view text;
    ErrorCode code;
    Retry retry;
    std::string_view mentions;
  };
  for (const Case& test : {
           Case{"NOAUTH Authentication required.", ErrorCode::unauthorized, Retry::fatal,
                "password"},
           Case{"WRONGPASS invalid username-password pair", ErrorCode::unauthorized, Retry::fatal,
                "password"},
           Case{"ERR AUTH <password> called without any password configured for the default user.",
                ErrorCode::unauthorized, Retry::fatal, "no password set"},
           Case{"NOPERM this user has no permissions to run the 'set' command",
                ErrorCode::unauthorized, Retry::fatal, "ACL"},
           Case{"DENIED Redis is running in protected mode", ErrorCode::unauthorized, Retry::fatal,
                "protected"},
           Case{"LOADING Redis is loading the dataset in memory", ErrorCode::unavailable,
                Retry::again, "loaded"},
           Case{"BUSY Redis is busy running a script.", ErrorCode::unavailable, Retry::again,
                "script"},
           Case{"MASTERDOWN Link with MASTER is down", ErrorCode::unavailable, Retry::again, ""},
           Case{"TRYAGAIN Multiple keys request during rehashing of slot", ErrorCode::unavailable,
                Retry::again, ""},
           Case{"CLUSTERDOWN The cluster is down", ErrorCode::unavailable, Retry::again, ""},
           Case{"ERR max number of clients reached", ErrorCode::unavailable, Retry::again,
                "--concurrency"},
           Case{"OOM command not allowed when used memory > 'maxmemory'.", ErrorCode::no_space,
                Retry::fatal, "maxmemory"},
           Case{"MISCONF Redis is configured to save RDB snapshots", ErrorCode::no_space,
                Retry::fatal, "log"},
           Case{"READONLY You can't write against a read only replica.", ErrorCode::unsupported,
                Retry::fatal, "primary"},
           Case{"MOVED 3999 127.0.0.1:6381", ErrorCode::unsupported, Retry::fatal,
                "redis-cluster://"},
           Case{"CROSSSLOT Keys in request don't hash to the same slot", ErrorCode::unsupported,
                Retry::fatal, "redis-cluster://"},
           Case{"ERR DB index is out of range", ErrorCode::not_found, Retry::fatal, "database"},
           Case{"WRONGTYPE Operation against a key holding the wrong kind of value",
                ErrorCode::conflict, Retry::never, "sluice:"},
           Case{"ERR Protocol error: invalid bulk length", ErrorCode::too_large, Retry::smaller,
                "proto-max-bulk-len"},
           Case{"ERR unknown command 'UNLINK', with args beginning with: 'k'",
                ErrorCode::unsupported, Retry::fatal, "Redis 6.2"},
           Case{"ERR syntax error", ErrorCode::unsupported, Retry::fatal, "Redis 6.2"},
           Case{"SOMETHING new", ErrorCode::unsupported, Retry::fatal, "SOMETHING new"},
       }) {
    const Error error = server_error(test.text, "writing");
    EXPECT_EQ(error.code, test.code) << test.text;
    EXPECT_EQ(error.retry, test.retry) << test.text;
    EXPECT_NE(error.message.find(test.mentions), std::string::npos) << error.message;
    EXPECT_NE(error.message.find("while writing"), std::string::npos) << error.message;
  }
}

TEST(ServerError, QuotesOnlyWhatIsSafeToPrint) {
  const Error error = server_error("ERR \x1b[31m\nred" + std::string(10'000, 'x'), "writing");
  EXPECT_EQ(error.message.find('\x1b'), std::string::npos);
  EXPECT_EQ(error.message.find('\n'), std::string::npos);
  EXPECT_LT(error.message.size(), 600u);
}

}  // namespace
}  // namespace sluice::redis
