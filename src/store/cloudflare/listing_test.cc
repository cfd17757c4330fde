#include <set>

#include "store/cloudflare/cloudflare_test.h"

namespace sluice::store::cloudflare_test {
namespace {

TEST_F(CloudflareTest, ListsWithThePrefixOnEveryPage) {
  answer({json(keys_page(0, 2, "c/1")), json(keys_page(2, 1, ""))});
  auto page = list({.prefix = "k0", .cursor = {}, .after = {}});
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(page->entries.size(), 2u);
  EXPECT_EQ(page->cursor, "c/1");
  page = list({.prefix = "k0", .cursor = "c/1", .after = {}});
  ASSERT_TRUE(page);
  EXPECT_EQ(page->cursor, "");
  const std::string path =
      "/v4/accounts/acc/storage/kv/namespaces/ns%2F1/keys?limit=1000&prefix=k0";
  EXPECT_EQ(server.seen()[0].target, path);
  EXPECT_EQ(server.seen()[1].target, path + "&cursor=c%2F1");
}

TEST_F(CloudflareTest, AnEmptyPageWithACursorIsNotTheEnd) {
  answer({json(R"({"success":true,"result":[],"result_info":{"count":0,"cursor":"next"}})")});
  const auto page = list();
  ASSERT_TRUE(page);
  EXPECT_TRUE(page->entries.empty());
  EXPECT_EQ(page->cursor, "next");
}

TEST_F(CloudflareTest, SmallLimitsLoseNothing) {
  for (const std::size_t limit : {1u, 3u, 7u, 9u, 10u, 25u}) {
    std::vector<std::string> keys;
    std::string cursor;
    std::size_t rounds = 0;
    do {
      // The peer lists by its own cursor: the number of the first key.
      replies.clear();
      served = 0;
      const auto before = server.seen().size();
      const auto at = cursor.find(';');
      const std::string_view own = at == std::string::npos
                                       ? std::string_view(cursor)
                                       : std::string_view(cursor).substr(at + 1);
      const std::size_t first = own.empty() ? 0 : std::stoul(std::string(own));
      const std::size_t count = std::min<std::size_t>(std::max<std::size_t>(limit, 10), 35 - first);
      const std::string next = first + count == 35 ? "" : fmt::to_string(first + count);
      replies.push_back(json(keys_page(first, count, next)));
      auto page = list({.prefix = {}, .cursor = cursor, .after = {}, .limit = limit});
      ASSERT_TRUE(page) << page.error().message;
      EXPECT_EQ(server.seen().size(), before + 1);
      EXPECT_NE(server.seen().back().target.find("limit="), std::string::npos);
      EXPECT_LE(page->entries.size(), limit);
      for (const EntryView& found : page->entries) keys.emplace_back(found.key);
      cursor = page->cursor;
    } while (!cursor.empty() && ++rounds < 100);
    ASSERT_EQ(keys.size(), 35u) << limit;
    for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(keys[i], fmt::format("k{:04}", i));
  }
}

TEST_F(CloudflareTest, ListAnswersThatDoNotAddUpAreErrors) {
  struct Case {
    std::string_view what;
    std::string body;
  };
  const Case cases[] = {
      {"cursor again", keys_page(0, 2, "c")},
      {"count",
       R"({"success":true,"result":[{"name":"k1"}],"result_info":{"count":5,"cursor":""}})"},
      {"prefix", R"({"success":true,"result":[{"name":"other"}],"result_info":{"cursor":""}})"},
      {"not JSON", "<html>"},
      {"cut", R"({"success":true,"result":[{"name":"k1"})"},
      {"no success", R"({"result":[]})"},
  };
  for (const Case& test : cases) {
    answer({json(test.body)});
    const auto page = list({.prefix = "k", .cursor = "c", .after = {}});
    ASSERT_FALSE(page) << test.what;
    EXPECT_EQ(page.error().code, ErrorCode::protocol) << test.what;
    EXPECT_EQ(served, 3u) << test.what;  // repeated, since it may pass
  }
}

TEST_F(CloudflareTest, ErrorsOfTheService) {
  struct Case {
    int status;
    int code;
    ErrorCode expected;
    Retry retry;
  };
  const Case cases[] = {
      {404, 10013, ErrorCode::not_found, Retry::fatal},
      {403, 10000, ErrorCode::unauthorized, Retry::fatal},
      {400, 6003, ErrorCode::unauthorized, Retry::fatal},
      {403, 1, ErrorCode::unauthorized, Retry::fatal},
      {400, 7003, ErrorCode::not_found, Retry::fatal},
      {200, 971, ErrorCode::throttled, Retry::again},
      {429, 971, ErrorCode::throttled, Retry::again},
      {400, 10046, ErrorCode::unavailable, Retry::again},
      {200, 1, ErrorCode::unavailable, Retry::again},
      {400, 1, ErrorCode::invalid_argument, Retry::never},
      {503, 1, ErrorCode::unavailable, Retry::again},
  };
  for (const Case& test : cases) {
    answer({reply(test.status,
                  fmt::format(R"({{"success":false,"errors":[{{"code":{},"message":"said so"}}]}})",
                              test.code))});
    const auto page = list();
    ASSERT_FALSE(page) << test.status << " " << test.code;
    EXPECT_EQ(page.error().code, test.expected) << test.status << " " << test.code;
    // What may pass has been repeated, and is final when that was of no use.
    EXPECT_EQ(page.error().retry, test.retry == Retry::again ? Retry::never : test.retry)
        << test.status << " " << test.code;
    EXPECT_NE(page.error().message.find("said so"), std::string::npos) << page.error().message;
    EXPECT_NE(page.error().message.find("My Namespace"), std::string::npos) << page.error().message;
    EXPECT_EQ(served, test.retry == Retry::again ? 3u : 1u) << test.status << " " << test.code;
  }
}

TEST_F(CloudflareTest, AnHtml429IsThrottling) {
  answer({reply(429, "<html>1015</html>", "Retry-After: 0\r\n"), json(keys_page(0, 1, ""))});
  EXPECT_TRUE(list());
  EXPECT_EQ(opened.wire_stats().gate.throttled, 1u);
  EXPECT_EQ(opened.wire_stats().retries, 1u);
  EXPECT_GT(opened.wire_stats().bytes_received, 0u);
}

}  // namespace
}  // namespace sluice::store::cloudflare_test
