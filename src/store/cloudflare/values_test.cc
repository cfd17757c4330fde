#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "store/cloudflare/cloudflare_test.h"

namespace sluice::store::cloudflare_test {
namespace {

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
}  // namespace sluice::store::cloudflare_test
