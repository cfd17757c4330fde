#include "store/cloudflare/cloudflare.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <filesystem>
#include <map>
#include <set>

#include "http/scripted_server.h"
#include "store/limits.h"

namespace sluice::store {
namespace {

using namespace std::chrono_literals;
using http::cut;
using http::json;
using http::reply;
using http::Reply;
using http::ScriptedServer;
using http::SeenRequest;

constexpr std::string_view ok_null = R"({"success":true,"errors":[],"result":null})";

std::string keys_page(std::size_t first, std::size_t count, std::string_view cursor) {
  std::string body = R"({"success":true,"result":[)";
  for (std::size_t i = first; i < first + count; ++i) {
    body += fmt::format(R"({}{{"name":"k{:04}"}})", i == first ? "" : ",", i);
  }
  return body + fmt::format(R"(],"result_info":{{"count":{},"cursor":"{}"}}}})", count, cursor);
}

struct CloudflareTest : testing::Test {
  io::Loop loop;
  io::Stop stop{loop.executor()};
  Log log{LogLevel::off};
  std::map<std::string, std::string, std::less<>> settings{{"CLOUDFLARE_API_TOKEN", "s3cret\n"},
                                                           {"CLOUDFLARE_ACCOUNT_ID", "acc"}};
  std::vector<Reply> replies;  // answered in turn, the last one again and again
  std::size_t served = 0;
  ScriptedServer server{
      loop, [this](const SeenRequest&) { return replies[std::min(served++, replies.size() - 1)]; }};
  Opened opened;
  std::unique_ptr<Store> store;

  Environment environment() {
    return Environment{.executor = loop.executor(),
                       .stop = stop,
                       .log = log,
                       .setting =
                           [this](std::string_view name) {
                             const auto found = settings.find(name);
                             return found == settings.end() ? std::string() : found->second;
                           },
                       .data_folder = {},
                       .gate = {},
                       .retry = {.attempts = 3, .base = 1ms, .longest = 2ms},
                       .request_timeout = 2s};
  }

  void SetUp() override {
    settings["CLOUDFLARE_API_BASE_URL"] = server.url() + "/v4/";
    auto result = open_cloudflare({}, environment());
    ASSERT_TRUE(result) << result.error().message;
    opened = std::move(*result);
    store = opened.backend->open({.id = "ns/1", .title = "My Namespace"});
  }

  void answer(std::vector<Reply> with) {
    replies = std::move(with);
    served = 0;
  }
  Result<Page> list(ListRequest request = {}) { return loop.run(store->list(request)); }
  Result<GetAnswer> get(std::vector<std::string_view> keys) { return loop.run(store->get(keys)); }
  Result<WriteAnswer> put(std::vector<EntryView> entries) { return loop.run(store->put(entries)); }
  Result<WriteAnswer> erase(std::vector<std::string_view> keys) {
    return loop.run(store->erase(keys));
  }
};

EntryView entry(std::string_view key, std::string_view value = "v") {
  return {.key = key, .value = value, .metadata = {}};
}

// --- Opening ---------------------------------------------------------------------------------

TEST_F(CloudflareTest, NamesTheMissingCredentials) {
  settings.erase("CLOUDFLARE_API_TOKEN");
  auto result = open_cloudflare("acc", environment());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::unauthorized);
  EXPECT_NE(result.error().message.find("CLOUDFLARE_API_TOKEN"), std::string::npos);
  EXPECT_NE(result.error().message.find("CLOUDFLARE_API_KEY"), std::string::npos);
  settings["CLOUDFLARE_EMAIL"] = "a@b.c";
  EXPECT_FALSE(open_cloudflare("acc", environment()));
  settings["CLOUDFLARE_API_KEY"] = "key";
  EXPECT_TRUE(open_cloudflare("acc", environment()));
}

TEST_F(CloudflareTest, NamesTheMissingAccount) {
  settings.erase("CLOUDFLARE_ACCOUNT_ID");
  const auto result = open_cloudflare({}, environment());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
  EXPECT_NE(result.error().message.find("CLOUDFLARE_ACCOUNT_ID"), std::string::npos);
}

TEST_F(CloudflareTest, SendsCredentialsOnlyWhereNobodyCanReadThem) {
  for (const std::string_view url : {"http://example.org/v4", "http://127.example.org", "ftp://x",
                                     "https://user:pass@x/", "https://", "https://x/?q", "x y"}) {
    settings["CLOUDFLARE_API_BASE_URL"] = url;
    const auto result = open_cloudflare("acc", environment());
    ASSERT_FALSE(result) << url;
    EXPECT_EQ(result.error().code, ErrorCode::invalid_argument) << url;
    EXPECT_EQ(result.error().message.find("pass@"), std::string::npos);
  }
  for (const std::string_view url :
       {"https://example.org/v4", "http://localhost:1/v4", "http://[::1]:1", ""}) {
    settings["CLOUDFLARE_API_BASE_URL"] = url;
    EXPECT_TRUE(open_cloudflare("acc", environment())) << url;
  }
}

TEST_F(CloudflareTest, SharesItsBudgetWithThoseOfTheSameCredentials) {
  std::string folder = testing::TempDir() + "cloudflare-budget-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  Environment shared = environment();
  shared.budget_folder = folder;
  const auto files = [&] {
    std::set<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      names.insert(file.path().filename());
    }
    return names;
  };
  EXPECT_TRUE(open_cloudflare("acc", shared));
  EXPECT_TRUE(open_cloudflare("another-account", shared));
  EXPECT_EQ(files().size(), 1u);
  EXPECT_EQ(files().begin()->find("s3cret"), std::string::npos);
  settings["CLOUDFLARE_API_TOKEN"] = "another";
  EXPECT_TRUE(open_cloudflare("acc", shared));
  EXPECT_EQ(files().size(), 2u);
  settings["CLOUDFLARE_API_BASE_URL"] = "";
  EXPECT_TRUE(open_cloudflare("acc", shared));
  EXPECT_EQ(files().size(), 3u);
  shared.budget_folder = folder + "/no/such/folder";
  EXPECT_TRUE(open_cloudflare("acc", shared)) << "works alone";
  std::filesystem::remove_all(folder);
}

TEST_F(CloudflareTest, RefusesATokenThatWouldBreakAHeader) {
  settings["CLOUDFLARE_API_TOKEN"] = "abc\r\nX: y";
  const auto result = open_cloudflare("acc", environment());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::unauthorized);
  EXPECT_EQ(result.error().message.find("abc"), std::string::npos);
}

TEST_F(CloudflareTest, DescribesItself) {
  EXPECT_EQ(opened.backend->description(),
            fmt::format("Cloudflare account acc at 127.0.0.1:{}", server.port()));
}

// --- Namespaces ------------------------------------------------------------------------------

TEST_F(CloudflareTest, PagesThroughNamespacesUntilAnEmptyPage) {
  answer(
      {json(R"({"success":true,"result":[{"id":"2","title":"b"}],"result_info":{"per_page":1}})"),
       json(R"({"success":true,"result":[{"id":"2","title":"b"},{"id":"1","title":"a"}]})"),
       json(R"({"success":true,"result":[]})")});
  const auto all = loop.run(opened.backend->namespaces());
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].title, "a");
  ASSERT_EQ(server.seen().size(), 3u);
  EXPECT_EQ(
      server.seen()[0].target,
      "/v4/accounts/acc/storage/kv/namespaces?page=1&per_page=1000&order=title&direction=asc");
  EXPECT_EQ(server.seen()[0].header("authorization"), "Bearer s3cret");
}

TEST_F(CloudflareTest, AShortPageEndsOnlyWithAProof) {
  answer({json(R"({"success":true,"result":[{"id":"1","title":"a"}],
                   "result_info":{"per_page":1000,"total_count":1}})")});
  ASSERT_TRUE(loop.run(opened.backend->namespaces()));
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST_F(CloudflareTest, APeerThatIgnoresPagesIsNotAskedForEver) {
  answer({json(R"({"success":true,"result":[{"id":"1","title":"a"}]})")});
  const auto all = loop.run(opened.backend->namespaces());
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), 1u);
  EXPECT_EQ(server.seen().size(), 2u);
}

TEST_F(CloudflareTest, ATitleWinsOverAnId) {
  answer({json(R"({"success":true,"result":[{"id":"x","title":"a"},{"id":"1","title":"b"}]})"),
          json(R"({"success":true,"result":[{"id":"2","title":"x"}]})"),
          json(R"({"success":true,"result":[]})")});
  EXPECT_EQ(loop.run(opened.backend->find_namespace("x"))->id, "2");
  served = 0;
  EXPECT_EQ(loop.run(opened.backend->find_namespace("1"))->title, "b");
  served = 0;
  const auto none = loop.run(opened.backend->find_namespace("none"));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::not_found);
}

TEST_F(CloudflareTest, CreatesRenamesDeletes) {
  answer({json(R"({"success":true,"result":{"id":"9","title":"T"}})"), json(ok_null)});
  const auto made = loop.run(opened.backend->create_namespace("T"));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->id, "9");
  EXPECT_TRUE(loop.run(opened.backend->rename_namespace(*made, "U\"")));
  EXPECT_TRUE(loop.run(opened.backend->delete_namespace(*made)));
  ASSERT_EQ(server.seen().size(), 3u);
  EXPECT_EQ(server.seen()[0].body, R"({"title":"T"})");
  EXPECT_EQ(server.seen()[1].method, "PUT");
  EXPECT_EQ(server.seen()[1].body, R"({"title":"U\""})");
  EXPECT_EQ(server.seen()[2].method, "DELETE");
  EXPECT_EQ(server.seen()[2].target, "/v4/accounts/acc/storage/kv/namespaces/9");
}

TEST_F(CloudflareTest, ATakenTitleIsAConflict) {
  answer({reply(
      400, R"({"success":false,"errors":[{"code":10014,"message":"exists"}],"result":null})")});
  const auto made = loop.run(opened.backend->create_namespace("T"));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::conflict);
  EXPECT_FALSE(loop.run(opened.backend->create_namespace("")));
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST_F(CloudflareTest, ACreationWhoseAnswerIsLostIsNotRepeated) {
  answer({cut()});
  EXPECT_FALSE(loop.run(opened.backend->create_namespace("T")));
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST_F(CloudflareTest, ADeletionWhoseAnswerWasLostIsASuccess) {
  const Reply gone = reply(
      404, R"({"success":false,"errors":[{"code":10013,"message":"not found"}],"result":null})");
  answer({cut(), gone});
  EXPECT_TRUE(loop.run(opened.backend->delete_namespace({.id = "1", .title = "t"})));
  answer({gone});
  const auto deleted = loop.run(opened.backend->delete_namespace({.id = "1", .title = "t"}));
  ASSERT_FALSE(deleted);
  EXPECT_EQ(deleted.error().code, ErrorCode::not_found);
}

// --- Listing ---------------------------------------------------------------------------------

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

// --- Getting ---------------------------------------------------------------------------------

TEST_F(CloudflareTest, GetsABatchInOneRequest) {
  answer({json(R"({"success":true,"result":{"values":{
      "b":{"value":"B","metadata":{"m": 1},"expiration":1900000000},"a":null,"c":"C"}}})")});
  const auto got = get({"a", "b", "c", "b"});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(got->failed.empty());
  ASSERT_EQ(got->entries.size(), 4u);
  EXPECT_EQ(got->entries[0].presence, Presence::missing);
  EXPECT_EQ(got->entries[0].key, "a");
  EXPECT_EQ(got->entries[1].value, "B");
  EXPECT_EQ(got->entries[1].metadata, R"({"m": 1})");
  EXPECT_EQ(got->entries[1].expiration, 1900000000);
  EXPECT_EQ(got->entries[2].value, "C");
  EXPECT_EQ(got->entries[3].value, "B");
  ASSERT_EQ(server.seen().size(), 1u);
  EXPECT_EQ(server.seen()[0].body, R"({"keys":["a","b","c"],"type":"text","withMetadata":true})");
}

TEST_F(CloudflareTest, AValueThatMayBeAlteredIsFetchedAgain) {
  answer({json("{\"success\":true,\"result\":{\"values\":{\"a/1\":{\"value\":\"x\xEF\xBF\xBD\","
               "\"metadata\":{\"m\":1}},\"b\":{\"value\":\"clean\"}}}}"),
          reply(200, std::string_view("x\xFF\0", 3), "expiration: 1900000000\r\n")});
  const auto got = get({"a/1", "b"});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->entries[0].value, std::string_view("x\xFF\0", 3));
  EXPECT_EQ(got->entries[0].metadata, R"({"m":1})");
  EXPECT_EQ(got->entries[0].expiration, 1900000000);
  EXPECT_EQ(got->entries[1].value, "clean");
  ASSERT_EQ(server.seen().size(), 2u);
  EXPECT_EQ(server.seen()[1].target, "/v4/accounts/acc/storage/kv/namespaces/ns%2F1/values/a%2F1");
  EXPECT_EQ(opened.wire_stats().gate.sent, 2u);
}

TEST_F(CloudflareTest, ExactGetsFetchEveryValue) {
  answer({json(R"({"success":true,"result":{"values":{"a":"x","b":null}}})"),
          reply(200, "\xEF\xBB\xBFx")});
  const std::vector<std::string_view> keys{"a", "b"};
  const auto got = loop.run(store->get_exact(keys));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->entries[0].value, "\xEF\xBB\xBFx");
  EXPECT_EQ(got->entries[1].presence, Presence::missing);
  EXPECT_EQ(server.seen().size(), 2u);
}

TEST_F(CloudflareTest, WhatCannotBeFetchedAgainHasFailed) {
  const Reply batch = json("{\"success\":true,\"result\":{\"values\":{\"a\":\"\xEF\xBF\xBD\"}}}");
  answer({batch, reply(503, "")});
  auto got = get({"a"});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->entries[0].presence, Presence::failed);
  EXPECT_EQ(got->entries[0].value, "");
  ASSERT_EQ(got->failed.size(), 1u);
  EXPECT_EQ(got->failed[0].error.code, ErrorCode::unavailable);

  answer({batch,
          reply(404, R"({"success":false,"errors":[{"code":10009,"message":"key not found"}]})")});
  got = get({"a"});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->entries[0].presence, Presence::missing);

  answer({batch, reply(404, "<html>")});
  got = get({"a"});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->entries[0].presence, Presence::failed);

  answer({batch, reply(403, "")});
  EXPECT_FALSE(get({"a"}));
}

TEST_F(CloudflareTest, AKeyThatTheAnswerLeavesOutHasFailed) {
  answer({json(R"({"success":true,"result":{"values":{"a":"x"}}})")});
  const auto got = get({"a", "b", "..", ""});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->entries[0].presence, Presence::present);
  for (const std::size_t i : {1u, 2u, 3u}) {
    EXPECT_EQ(got->entries[i].presence, Presence::failed) << i;
    EXPECT_EQ(std::ranges::count(got->failed, i, &KeyFailure::index), 1) << i;
  }
  EXPECT_EQ(server.seen()[0].body, R"({"keys":["a","b"],"type":"text","withMetadata":true})");
}

TEST_F(CloudflareTest, ABatchThatIsTooLargeAsksForASmallerOne) {
  answer({reply(413, "")});
  const auto got = get({"a", "b"});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().retry, Retry::smaller);
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST_F(CloudflareTest, ASingleValueThatIsTooLargeForABatchComesAlone) {
  answer({reply(413, ""), reply(200, "huge"), json(R"({"success":true,"result":{"m": 1}})")});
  const auto got = get({"a"});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->entries[0].value, "huge");
  EXPECT_EQ(got->entries[0].metadata, R"({"m": 1})");
  EXPECT_EQ(server.seen().size(), 3u);
}

// --- Writing ---------------------------------------------------------------------------------

TEST_F(CloudflareTest, PutsABatch) {
  answer({json(R"({"success":true,"result":{"successful_key_count":2,"unsuccessful_keys":[]}})")});
  const auto written =
      put({{.key = "b", .value = "2", .metadata = R"({"m": 1})", .expiration = 4'000'000'000},
           entry("a", "\xFF"),
           entry("b", "later")});
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_TRUE(written->failed.empty());
  const SeenRequest& seen = server.seen()[0];
  EXPECT_EQ(seen.method, "PUT");
  EXPECT_EQ(seen.target, "/v4/accounts/acc/storage/kv/namespaces/ns%2F1/bulk");
  EXPECT_EQ(seen.body, R"([{"key":"a","value":"/w==","base64":true},{"key":"b","value":"later"}])");
}

TEST_F(CloudflareTest, InvalidEntriesFailAndTheOthersAreSent) {
  answer({json(R"({"success":true,"result":{"successful_key_count":1}})")});
  const std::string long_key(513, 'k');
  const std::string long_metadata = "\"" + std::string(1024, 'm') + "\"";
  const std::string long_value((25u << 20) + 1, 'v');
  const std::vector<EntryView> entries{
      entry(""),
      entry("."),
      entry(".."),
      entry(long_key),
      entry("\xFF"),
      entry("good"),
      {.key = "m", .value = "v", .metadata = long_metadata},
      {.key = "j", .value = "v", .metadata = R"({"a":1}],[{)"},
      {.key = "t", .value = "v", .metadata = {}, .expiration = unix_now() + 30},
      entry("big", long_value)};
  const auto written = put(entries);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(written->failed.size(), 9u);
  for (const KeyFailure& failure : written->failed) {
    EXPECT_NE(failure.index, 5u);
    EXPECT_EQ(failure.error.code, ErrorCode::invalid_argument);
    EXPECT_EQ(failure.error.retry, Retry::never);
  }
  EXPECT_EQ(server.seen()[0].body, R"([{"key":"good","value":"v"}])");
  // Nothing valid: nothing is sent.
  EXPECT_EQ(put({entry("")})->failed.size(), 1u);
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST_F(CloudflareTest, ReportsTheKeysThatWereNotWritten) {
  answer(
      {json(R"({"success":true,"result":{"successful_key_count":1,"unsuccessful_keys":["b"]}})")});
  auto written = put({entry("a"), entry("b")});
  ASSERT_TRUE(written);
  ASSERT_EQ(written->failed.size(), 1u);
  EXPECT_EQ(written->failed[0].index, 1u);
  EXPECT_EQ(written->failed[0].error.retry, Retry::again);

  // The same with a status and a success that deny it: the count accounts for every key.
  answer({reply(400, R"({"success":false,"errors":[{"code":1,"message":"some failed"}],
                         "result":{"successful_key_count":1,"unsuccessful_keys":["b"]}})")});
  written = put({entry("a"), entry("b")});
  ASSERT_TRUE(written) << written.error().message;
  ASSERT_EQ(written->failed.size(), 1u);

  answer(
      {json(R"({"success":true,"result":{"successful_key_count":1,"unsuccessful_keys":["b"]}})")});
  const auto erased = erase({"b", "a", "b"});
  ASSERT_TRUE(erased);
  ASSERT_EQ(erased->failed.size(), 2u);
  EXPECT_EQ(server.seen().back().method, "POST");
  EXPECT_EQ(server.seen().back().body, R"(["b","a"])");
  EXPECT_EQ(server.seen().back().target,
            "/v4/accounts/acc/storage/kv/namespaces/ns%2F1/bulk/delete");
}

TEST_F(CloudflareTest, AWriteIsDoneOnlyWhenThatIsProven) {
  for (const std::string_view body :
       {R"({"success":false,"errors":[],"result":null})",
        R"({"success":true,"result":{"successful_key_count":1}})",
        R"({"success":true,"result":{"successful_key_count":3}})",
        R"({"success":true,"result":{"successful_key_count":2,"unsuccessful_keys":["a"]}})",
        R"({"success":true,"result":{"successful_key_count":1,"unsuccessful_keys":["other"]}})",
        R"({"success":true,"result":{"successful_key_count":0,"unsuccessful_keys":["a","a"]}})",
        R"({"success":false,"result":{"successful_key_count":2,"unsuccessful_keys":[]}})",
        R"({"success":false,"result":{"unsuccessful_keys":["a"]}})", R"({})", "", "<html>"}) {
    answer({json(body)});
    EXPECT_FALSE(put({entry("a"), entry("b")})) << body;
    EXPECT_FALSE(erase({"a", "b"})) << body;
  }
  answer({json(ok_null)});
  EXPECT_TRUE(put({entry("a"), entry("b")})->failed.empty());
  EXPECT_TRUE(erase({"a", "b"})->failed.empty());
}

TEST_F(CloudflareTest, TimeoutsOfBatchesAskForSmallerOnes) {
  for (const int status : {504, 524}) {
    answer({reply(status, "<html>")});
    EXPECT_EQ(put({entry("a"), entry("b")}).error().retry, Retry::smaller) << status;
    EXPECT_EQ(erase({"a", "b"}).error().retry, Retry::smaller) << status;
    EXPECT_EQ(get({"a", "b"}).error().retry, Retry::smaller) << status;
  }
  answer({reply(400, R"({"success":false,"errors":[{"code":10012,"message":"too many"}]})")});
  EXPECT_EQ(put({entry("a"), entry("b")}).error().retry, Retry::smaller);
}

TEST_F(CloudflareTest, ATimeoutOfASingleKeyIsRepeated) {
  const std::string whole = R"({"success":true,"result":{"successful_key_count":1}})";
  answer({reply(524, "<html>"), json(whole)});
  EXPECT_TRUE(put({entry("a")}));
  answer({reply(524, "<html>"), json(whole)});
  EXPECT_TRUE(erase({"a"}));
}

TEST_F(CloudflareTest, ABatchThatInflatesIsSplit) {
  answer({json(ok_null)});
  const std::string value(15'000'000, '\xFF');  // 20 MB as base64
  std::vector<std::string> keys;
  for (int i = 0; i < 5; ++i) keys.push_back(fmt::format("k{}", i));
  std::vector<EntryView> entries;
  for (const std::string& key : keys) entries.push_back(entry(key, value));
  const auto written = put(entries);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_TRUE(written->failed.empty());
  ASSERT_EQ(server.seen().size(), 2u);
  for (const SeenRequest& seen : server.seen()) EXPECT_LE(seen.body.size(), 100'000'000u);
}

TEST_F(CloudflareTest, ACutAnswerIsAskedForAgain) {
  const std::string whole = R"({"success":true,"result":{"successful_key_count":1}})";
  answer({cut(),
          Reply{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"succ", .close = true},
          json(whole)});
  const auto written = put({entry("a")});
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(server.seen().size(), 3u);
}

TEST_F(CloudflareTest, MessagesNeverHoldTheToken) {
  answer({reply(403,
                R"({"success":false,"errors":[{"code":9109,"message":"token s3cret is bad"}]})")});
  const auto page = list();
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().message.find("s3cret"), std::string::npos) << page.error().message;
}

TEST_F(CloudflareTest, RefusesCallsBeyondItsCapabilities) {
  const std::vector<std::string_view> keys(101, "k");
  EXPECT_EQ(get(keys).error().code, ErrorCode::invalid_argument);
  EXPECT_TRUE(server.seen().empty());
}

}  // namespace
}  // namespace sluice::store
