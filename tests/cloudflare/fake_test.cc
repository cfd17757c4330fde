// The fake is a measure for others, so its own limits and counts are held here, over a raw client.
#include "tests/cloudflare/fake.h"

#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <ctime>
#include <thread>

#include "tests/cloudflare/envelope.h"

namespace sluice::cloudflare_fake {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;

struct Reply {
  int status = 0;  // 0: no whole answer came
  std::string body;
  http::fields headers;
  [[nodiscard]] json::object object() const { return json::parse(body).as_object(); }
  [[nodiscard]] bool success() const { return object().at("success").as_bool(); }
  [[nodiscard]] int code() const {
    return object().at("errors").as_array().at(0).at("code").to_number<int>();
  }
};

// One kept-alive connection.
class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(context_) {
    socket_.connect({asio::ip::address_v4::loopback(), port});
  }

  Reply send(std::string_view method, std::string_view path, std::string body = {},
             std::string_view content_type = "application/json",
             std::string_view authorization = "Bearer test-token") {
    http::request<http::string_body> request;
    request.method_string({method.data(), method.size()});
    request.target({path.data(), path.size()});
    request.version(11);
    request.set(http::field::host, "127.0.0.1");
    if (!authorization.empty()) {
      request.set(http::field::authorization, {authorization.data(), authorization.size()});
    }
    request.set(http::field::content_type, {content_type.data(), content_type.size()});
    request.body() = std::move(body);
    request.prepare_payload();
    boost::system::error_code error;
    http::write(socket_, request, error);
    if (error) return {};
    http::response_parser<http::string_body> parser;
    parser.body_limit(std::numeric_limits<std::uint64_t>::max());
    http::read(socket_, buffer_, parser, error);
    if (error) return {};
    auto response = parser.release();
    return {static_cast<int>(response.result_int()), std::move(response.body()), response.base()};
  }

 private:
  asio::io_context context_;
  asio::ip::tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
};

const std::string collection =
    "/client/v4/accounts/0123456789abcdef0123456789abcdef/storage/kv/namespaces";

class FakeCloudflareTest : public testing::Test {
 protected:
  void start(Options options = {}) {
    fake.emplace(std::move(options));
    client.emplace(fake->port());
    id = fake->create_namespace("Test");
    where = collection + "/" + id;
  }
  void reconnect() { client.emplace(fake->port()); }
  void set_faults(std::string_view plan) {
    const Reply reply = client->send("POST", "/__control/faults", std::string(plan));
    ASSERT_EQ(reply.status, 200) << reply.body;
  }

  std::optional<FakeCloudflare> fake;
  std::optional<Client> client;
  std::string id;
  std::string where;
};

TEST_F(FakeCloudflareTest, AsksForCredentials) {
  start();
  Reply reply = client->send("GET", collection, {}, "", "");
  EXPECT_EQ(reply.status, 401);
  EXPECT_EQ(reply.code(), 9106);
  reply = client->send("GET", collection, {}, "", "Bearer wrong");
  EXPECT_EQ(reply.status, 403);
  EXPECT_EQ(reply.code(), 10000);
  EXPECT_FALSE(reply.success());
  reply = client->send("GET", "/client/v4/accounts/another/storage/kv/namespaces");
  EXPECT_EQ(reply.status, 403);
  EXPECT_EQ(fake->stats().unauthorized, 2u);
}

TEST_F(FakeCloudflareTest, HoldsTheLimitsOfCachePurges) {
  start({.zones = {{"example.com", "enterprise"}, {"example.org", "free"}}});
  const auto purge = [&](std::string_view zone, std::string_view kind, std::size_t items) {
    json::array list;
    for (std::size_t i = 0; i < items; ++i) list.emplace_back(fmt::format("https://a.b/{}", i));
    if (kind == "tags") list = json::array(items, "tag");
    const json::object body{{kind, std::move(list)}};
    return client
        ->send("POST", fmt::format("/client/v4/zones/{}/purge_cache", zone_id_of(zone)),
               json::serialize(body))
        .status;
  };
  EXPECT_EQ(purge("example.com", "tags", 100), 200);
  EXPECT_EQ(purge("example.com", "tags", 101), 400);
  EXPECT_EQ(purge("example.com", "tags", 0), 400);
  EXPECT_EQ(purge("example.com", "files", 500), 200);
  EXPECT_EQ(purge("example.com", "files", 501), 400);
  EXPECT_EQ(purge("example.org", "files", 101), 400);
  EXPECT_EQ(purge("example.com", "hosts", 1), 400);  // a URL is no host
  EXPECT_EQ(purge("nowhere.test", "tags", 1), 404);
  EXPECT_EQ(fake->purged("example.com", "tags").size(), 100u);
  set_faults(R"({"fail_items":["https://a.b/7"]})");
  EXPECT_EQ(purge("example.com", "files", 9), 200);
  EXPECT_EQ(fake->purged("example.com", "files").size(), 500u);  // no success, in spite of 200
}

TEST_F(FakeCloudflareTest, PagesNamespacesUntilAnEmptyPage) {
  start({.namespaces = 44});  // and "Test"
  std::size_t seen = 0;
  for (const std::size_t expected : {20u, 20u, 5u, 0u}) {
    static int page = 0;
    const Reply reply =
        client->send("GET", fmt::format("{}?page={}&order=title", collection, ++page));
    const json::object object = reply.object();
    EXPECT_EQ(object.at("result").as_array().size(), expected);
    EXPECT_EQ(object.at("result_info").at("total_count").to_number<int>(), 45);
    seen += object.at("result").as_array().size();
  }
  EXPECT_EQ(seen, 45u);
  EXPECT_EQ(client->send("GET", collection + "?per_page=1001").status, 400);
}

TEST_F(FakeCloudflareTest, CreatesRenamesAndDeletesNamespaces) {
  start();
  Reply reply = client->send("POST", collection, R"({"title":"New <one>"})");
  ASSERT_TRUE(reply.success());
  const std::string created(reply.object().at("result").at("id").as_string());
  EXPECT_EQ(reply.object().at("result").at("title").as_string(), "New <one>");
  reply = client->send("POST", collection, R"({"title":"New <one>"})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.code(), 10014);
  EXPECT_EQ(client->send("PUT", collection + "/" + created, R"({"title":"Test"})").code(), 10014);
  EXPECT_TRUE(client->send("PUT", collection + "/" + created, R"({"title":"Other"})").success());
  EXPECT_EQ(fake->namespace_id("Other"), created);
  EXPECT_TRUE(client->send("DELETE", collection + "/" + created).success());
  reply = client->send("DELETE", collection + "/" + created);
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.code(), 10013);
}

TEST_F(FakeCloudflareTest, KeepsBytesMetadataAndExpiry) {
  start();
  const std::string value("\0\xFF bytes\r\n--x", 13);
  const std::string form =
      "--XX\r\nContent-Disposition: form-data; name=\"value\"; filename=\"v\"\r\n\r\n" + value +
      "\r\n--XX\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n"
      "{\"n\" : 1.0}\r\n--XX--\r\n";
  const std::string path = where + "/values/" + "a%2Fb%25%20%F0%9F%98%80";
  Reply reply = client->send("PUT", path + "?expiration=1&expiration_ttl=100", form,
                             "multipart/form-data; boundary=XX");
  ASSERT_TRUE(reply.success()) << reply.body;
  const auto entry = fake->find(id, "a/b% \xF0\x9F\x98\x80");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->value, value);
  EXPECT_EQ(entry->metadata, "{\"n\" : 1.0}");
  EXPECT_NEAR(static_cast<double>(entry->expiration), static_cast<double>(std::time(nullptr) + 100),
              5);
  reply = client->send("GET", path);
  EXPECT_EQ(reply.body, value);
  EXPECT_EQ(reply.headers["expiration"], std::to_string(entry->expiration));
  EXPECT_NE(client->send("GET", where + "/metadata/a%2Fb%25%20%F0%9F%98%80")
                .body.find(R"("result":{"n" : 1.0})"),
            std::string::npos);
  EXPECT_NE(client->send("GET", where + "/keys").body.find(R"("metadata":{"n" : 1.0})"),
            std::string::npos);

  fake->advance_clock(std::chrono::seconds(200));
  reply = client->send("GET", path);
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.code(), 10009);
  EXPECT_EQ(fake->size(id), 0u);
  // An unescaped slash leads nowhere, and deleting what is absent succeeds.
  EXPECT_EQ(client->send("GET", where + "/values/a/b").status, 404);
  EXPECT_TRUE(client->send("DELETE", path).success());
}

TEST_F(FakeCloudflareTest, RefusesBadKeysMetadataAndExpiry) {
  start();
  EXPECT_EQ(client->send("PUT", where + "/values/%2E", "x", "").status, 400);
  EXPECT_EQ(client->send("PUT", where + "/values/..", "x", "").status, 400);
  EXPECT_EQ(client->send("PUT", where + "/values/", "x", "").status, 400);
  EXPECT_EQ(client->send("PUT", where + "/values/%FF", "x", "").status, 400);
  EXPECT_EQ(client->send("PUT", where + "/values/" + std::string(513, 'k'), "x", "").status, 400);
  EXPECT_TRUE(client->send("PUT", where + "/values/" + std::string(512, 'k'), "x", "").success());
  EXPECT_EQ(client->send("PUT", where + "/values/k?expiration_ttl=59", "x", "").status, 400);
  EXPECT_TRUE(client->send("PUT", where + "/values/k?expiration_ttl=60", "x", "").success());
  const auto bulk = [&](std::string body) { return client->send("PUT", where + "/bulk", body); };
  EXPECT_EQ(bulk(R"([{"key":"a","value":1}])").status, 400);
  EXPECT_EQ(bulk(R"([{"key":"a"}])").status, 400);
  EXPECT_EQ(bulk(R"([{"key":"","value":"x"}])").status, 400);
  EXPECT_EQ(bulk(R"([{"key":"a","value":"?","base64":true}])").status, 400);
  EXPECT_EQ(bulk(R"([{"key":"a","value":"x"}] x)").status, 400);
  EXPECT_EQ(bulk(R"([{"key":"a","value":"x"})").status, 400);
  EXPECT_EQ(
      bulk(R"([{"key":"a","value":"x","metadata":")" + std::string(1100, 'm') + R"("}])").status,
      413);
  EXPECT_FALSE(fake->find(id, "a"));
  EXPECT_TRUE(bulk("[]").success());
}

TEST_F(FakeCloudflareTest, BulkPutTakesTenThousandAndTheirFields) {
  start();
  std::string body = R"([{"key":"b","value":"AP8=","base64":true,"metadata":{"z" : [1]}})";
  for (int i = 1; i < 10'000; ++i) body += fmt::format(R"(,{{"key":"k{}","value":"{}"}})", i, i);
  Reply reply = client->send("PUT", where + "/bulk", body + "]");
  ASSERT_TRUE(reply.success()) << reply.body.substr(0, 300);
  EXPECT_EQ(reply.object().at("result").at("successful_key_count").to_number<int>(), 10'000);
  EXPECT_EQ(fake->find(id, "b")->value, std::string("\0\xFF", 2));
  EXPECT_EQ(fake->find(id, "b")->metadata, R"({"z" : [1]})");
  reply = client->send("PUT", where + "/bulk", body + R"(,{"key":"one more","value":""}])");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.code(), 10012);
  EXPECT_EQ(fake->size(id), 10'000u);
  EXPECT_EQ(client->send("PUT", where + "/bulk", std::string(100'000'001, ' ')).status, 413);
}

TEST_F(FakeCloudflareTest, ListsInPagesWithPrefixAndCursor) {
  start({.keys = 2500, .metadata = true});
  const std::string made_up = collection + "/" + fake->namespace_id("made-up") + "/keys";
  EXPECT_EQ(client->send("GET", made_up + "?limit=9").status, 400);
  EXPECT_EQ(client->send("GET", made_up + "?limit=1001").status, 400);
  EXPECT_EQ(client->send("GET", made_up + "?cursor=nonsense").status, 400);
  std::vector<std::string> keys;
  std::string cursor;
  do {
    const Reply reply =
        client->send("GET", made_up + "?prefix=user:000001&limit=300&cursor=" + cursor);
    const json::object object = reply.object();
    for (const auto& item : object.at("result").as_array()) {
      keys.emplace_back(item.at("name").as_string());
    }
    cursor = object.at("result_info").at("cursor").as_string();
  } while (!cursor.empty());
  ASSERT_EQ(keys.size(), 1000u);
  EXPECT_EQ(keys.front(), "user:000001000");
  EXPECT_EQ(keys.back(), "user:000001999");
  EXPECT_TRUE(std::ranges::is_sorted(keys));
  EXPECT_EQ(fake->stats().requests["GET keys"], 7u);
}

TEST_F(FakeCloudflareTest, DeletesInBothWays) {
  start({.keys = 10});
  where = collection + "/" + fake->namespace_id("made-up");
  EXPECT_TRUE(
      client->send("POST", where + "/bulk/delete", R"(["user:000000001","absent"])").success());
  EXPECT_TRUE(client->send("DELETE", where + "/bulk", R"(["user:000000002"])").success());
  EXPECT_TRUE(client->send("DELETE", where + "/values/user:000000003").success());
  EXPECT_EQ(fake->size(fake->namespace_id("made-up")), 7u);
  EXPECT_EQ(fake->stats().keys_erased, 3u);
  // A made-up key can be written again, and is one key only.
  EXPECT_TRUE(client->send("PUT", where + "/values/user:000000001", "new", "").success());
  EXPECT_EQ(fake->size(fake->namespace_id("made-up")), 8u);
  EXPECT_EQ(client->send("GET", where + "/values/user:000000001").body, "new");
}

TEST_F(FakeCloudflareTest, BulkGetAnswersTextOnly) {
  start();
  fake->put(id, "binary", {std::string("a\xFF\xE2\x82\0b", 6), R"({"m":1})", 0});
  fake->put(id, "mark", {"\xEF\xBB\xBFtext", "", 4'000'000'000});
  Reply reply = client->send("POST", where + "/bulk/get", R"({"keys":["binary","mark","none"]})");
  const json::object values = reply.object().at("result").at("values").as_object();
  EXPECT_EQ(values.at("binary").as_string(), std::string("a\xEF\xBF\xBD\xEF\xBF\xBD\0b", 9));
  EXPECT_EQ(values.at("mark").as_string(), "text");
  EXPECT_TRUE(values.at("none").is_null());
  const std::string with_metadata =
      R"({"keys":["binary","mark"],"type":"text","withMetadata":true})";
  reply = client->send("POST", where + "/bulk/get", with_metadata);
  EXPECT_EQ(json::serialize(reply.object().at("result").at("values").at("binary").at("metadata")),
            R"({"m":1})");
  EXPECT_EQ(reply.object()
                .at("result")
                .at("values")
                .at("mark")
                .at("expiration")
                .to_number<std::int64_t>(),
            4'000'000'000);
  set_faults(R"({"ignore_with_metadata":true})");
  EXPECT_TRUE(client->send("POST", where + "/bulk/get", with_metadata)
                  .object()
                  .at("result")
                  .at("values")
                  .at("mark")
                  .is_string());
  std::string keys = R"({"keys":["k0")";
  for (int i = 1; i <= 100; ++i) keys += fmt::format(R"(,"k{}")", i);
  EXPECT_EQ(client->send("POST", where + "/bulk/get", keys + "]}").status, 400);
  for (const char* key : {"big1", "big2"}) fake->put(id, key, {std::string(14u << 20, 'x'), "", 0});
  EXPECT_EQ(client->send("POST", where + "/bulk/get", R"({"keys":["big1","big2"]})").status, 413);
}

TEST_F(FakeCloudflareTest, FailsByScriptWithoutApplying) {
  start({.keys = 10});
  where = collection + "/" + fake->namespace_id("made-up");
  set_faults(R"({"script":[{"route":"POST bulk/delete","nth":2,"fault":"524"},
                           {"route":"POST bulk/delete","nth":3,"fault":"success_false"},
                           {"route":"GET keys","first":1,"last":2,"fault":"429_html"},
                           {"route":"GET keys","nth":3,"fault":"empty_page"}],"retry_after":7})");
  const auto erase = [&](std::string_view key) {
    return client->send("POST", where + "/bulk/delete", fmt::format(R"(["{}"])", key));
  };
  EXPECT_TRUE(erase("user:000000001").success());
  EXPECT_EQ(erase("user:000000002").status, 524);
  Reply reply = erase("user:000000003");
  EXPECT_EQ(reply.status, 200);
  EXPECT_FALSE(reply.success());
  EXPECT_EQ(fake->size(fake->namespace_id("made-up")), 9u);
  reply = client->send("GET", where + "/keys");
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(reply.headers["Retry-After"], "7");
  EXPECT_EQ(reply.body.substr(0, 9), "<!DOCTYPE");
  EXPECT_EQ(client->send("GET", where + "/keys").status, 429);
  // Two more came at once: within the grace they could have been on their way.
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  reply = client->send("GET", where + "/keys");
  EXPECT_TRUE(reply.object().at("result").as_array().empty());
  const std::string cursor(reply.object().at("result_info").at("cursor").as_string());
  ASSERT_FALSE(cursor.empty());
  EXPECT_EQ(
      client->send("GET", where + "/keys?cursor=" + cursor).object().at("result").as_array().size(),
      9u);
  EXPECT_EQ(fake->stats().during_retry_after, 2u);
  EXPECT_EQ(fake->stats().faults["524"], 1u);
}

TEST_F(FakeCloudflareTest, CutsTheConnectionWhereItIsTold) {
  start();
  set_faults(R"({"script":[{"route":"PUT values","nth":1,"fault":"cut_before"},
                           {"route":"PUT values","nth":2,"fault":"cut_after"},
                           {"route":"PUT values","nth":3,"fault":"cut_middle"},
                           {"route":"PUT values","nth":4,"fault":"close_idle"}]})");
  const auto put = [&](std::string_view key) {
    return client->send("PUT", fmt::format("{}/values/{}", where, key), "x", "").status;
  };
  EXPECT_EQ(put("before"), 0);
  EXPECT_FALSE(fake->find(id, "before"));
  reconnect();
  EXPECT_EQ(put("after"), 0);
  EXPECT_TRUE(fake->find(id, "after"));
  reconnect();
  EXPECT_EQ(put("middle"), 0);
  EXPECT_TRUE(fake->find(id, "middle"));
  reconnect();
  EXPECT_EQ(put("idle"), 200);
  EXPECT_EQ(put("on a closed connection"), 0);
}

TEST_F(FakeCloudflareTest, FailsSingleKeysOfABatch) {
  start();
  set_faults(R"({"fail_keys":{"a":-1,"b":1}})");
  const std::string body =
      R"([{"key":"a","value":"1"},{"key":"b","value":"1"},{"key":"c","value":"1"}])";
  Reply reply = client->send("PUT", where + "/bulk", body);
  EXPECT_EQ(json::serialize(reply.object().at("result")),
            R"({"successful_key_count":1,"unsuccessful_keys":["a","b"]})");
  reply = client->send("PUT", where + "/bulk", body);
  EXPECT_EQ(json::serialize(reply.object().at("result")),
            R"({"successful_key_count":2,"unsuccessful_keys":["a"]})");
  EXPECT_FALSE(fake->find(id, "a"));
  EXPECT_TRUE(fake->find(id, "b"));
  set_faults(R"({"fail_keys":{"a":1},"partial_status":400})");
  reply = client->send("PUT", where + "/bulk", body);
  EXPECT_EQ(reply.status, 400);
  EXPECT_FALSE(reply.success());
  set_faults(R"({"max_batch":2})");
  EXPECT_EQ(client->send("PUT", where + "/bulk", body).status, 413);
  set_faults(R"({"rates":{"wrong_count":100}})");
  EXPECT_EQ(client->send("PUT", where + "/bulk", body)
                .object()
                .at("result")
                .at("successful_key_count")
                .to_number<int>(),
            2);
  EXPECT_EQ(client->send("POST", "/__control/faults", R"({"rate":1})").status, 400);
  EXPECT_EQ(client->send("POST", "/__control/faults", R"({"rates":{"nonsense":1}})").status, 400);
}

TEST_F(FakeCloudflareTest, ModelsTheRateLimit) {
  start(
      {.rate_limit = {
           .requests = 3, .window = std::chrono::seconds(300), .block = std::chrono::seconds(2)}});
  Reply reply;
  for (int i = 0; i < 3; ++i) {
    reply = client->send("GET", where + "/keys");
    EXPECT_EQ(reply.status, 200);
  }
  EXPECT_TRUE(reply.headers["Ratelimit"].starts_with("\"default\";r=0;t="));
  EXPECT_EQ(reply.headers["Ratelimit-Policy"], "\"default\";q=3;w=300");
  reply = client->send("GET", where + "/keys");
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(reply.headers["Retry-After"], "2");
  EXPECT_EQ(fake->stats().rate_limited, 1u);
  // Control is free.
  EXPECT_EQ(client->send("GET", "/__control/stats").status, 200);
}

TEST(RateLimitTest, BeginsAnewWithItsWindow) {
  const Clock::time_point start{};
  RateLimit limit(
      {.requests = 2, .window = std::chrono::seconds(10), .block = std::chrono::seconds(10)},
      start);
  using std::chrono::seconds;
  EXPECT_FALSE(limit.count(start + seconds(9)));
  EXPECT_FALSE(limit.count(start + seconds(9)));
  EXPECT_EQ(limit.count(start + seconds(9)), seconds(10));
  // The window is new, but the block still runs.
  EXPECT_EQ(limit.count(start + seconds(11)), seconds(8));
  EXPECT_FALSE(limit.count(start + seconds(19)));
  EXPECT_EQ(parse_rate_limit("1200/5m")->window, seconds(300));
  EXPECT_EQ(parse_rate_limit("50/s")->window, seconds(1));
  for (const char* bad : {"", "5", "/s", "0/s", "5/", "5/x", "5/0s", "-1/s"}) {
    EXPECT_FALSE(parse_rate_limit(bad)) << bad;
  }
}

TEST(RetryAfterWatchTest, CountsOnlyWhatCouldHaveKnown) {
  using std::chrono::milliseconds;
  const Clock::time_point start{std::chrono::hours(1)};
  RetryAfterWatch watch;
  EXPECT_FALSE(watch.breaks(start));
  // Written from 0 to 3 ms, closed for a second: from 53 ms (the grace) to 1000 ms.
  watch.told(start, start + milliseconds(3), std::chrono::seconds(1));
  EXPECT_FALSE(watch.breaks(start + milliseconds(1)));
  EXPECT_FALSE(watch.breaks(start + milliseconds(52)));
  EXPECT_TRUE(watch.breaks(start + milliseconds(54)));
  EXPECT_TRUE(watch.breaks(start + milliseconds(999)));
  EXPECT_FALSE(watch.breaks(start + milliseconds(1000)));
  // Another, for a request that was under way at its end: it has its own grace, and what breaks the
  // first one still does, however late it is looked at.
  watch.told(start + milliseconds(980), start + milliseconds(981), std::chrono::seconds(2));
  EXPECT_TRUE(watch.breaks(start + milliseconds(999)));
  EXPECT_FALSE(watch.breaks(start + milliseconds(1010)));
  EXPECT_TRUE(watch.breaks(start + milliseconds(1032)));
  EXPECT_TRUE(watch.breaks(start + milliseconds(2979)));
  EXPECT_FALSE(watch.breaks(start + milliseconds(2981)));
  EXPECT_TRUE(watch.breaks(start + milliseconds(500)));
  // An answer that took longer to write than it tells to wait closes nothing.
  watch.told(start, start + milliseconds(990), std::chrono::seconds(1));
  watch.told(start, start, std::chrono::seconds(0));
  EXPECT_FALSE(watch.breaks(start + milliseconds(20)));
}

TEST_F(FakeCloudflareTest, ARequestThatWaitedInTheSocketIsJudgedByItsArrival) {
  start({.keys = 400'000});
  where = collection + "/" + fake->namespace_id("made-up");
  using std::chrono::milliseconds;
  bool in_time = false;
  // A machine that is too slow at one time is not at every time.
  for (int attempt = 0; attempt < 20 && !in_time; ++attempt) {
    set_faults(R"({"script":[{"route":"GET keys","nth":1,"fault":"429"}],"retry_after":1})");
    fake->reset_stats();
    EXPECT_EQ(client->send("GET", where + "/keys").status, 429);
    const Clock::time_point answered = Clock::now();
    // Keeps the server busy until the grace is over.
    std::thread busy([&] {
      EXPECT_EQ(Client(fake->port()).send("GET", "/__control/entries?title=made-up").status, 200);
    });
    std::this_thread::sleep_for(milliseconds(10));
    const Clock::time_point sending = Clock::now();
    EXPECT_EQ(client->send("GET", where + "/keys").status, 200);
    const Clock::time_point read = Clock::now();
    busy.join();
    in_time = sending - answered < milliseconds(30) && read - answered > milliseconds(70);
    if (in_time) EXPECT_EQ(fake->stats().during_retry_after, 0u);
    std::this_thread::sleep_until(answered + std::chrono::seconds(1));
  }
  EXPECT_TRUE(in_time);
  // One that arrives after the grace counts.
  set_faults(R"({"script":[{"route":"GET keys","nth":1,"fault":"429"}],"retry_after":1})");
  fake->reset_stats();
  EXPECT_EQ(client->send("GET", where + "/keys").status, 429);
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_EQ(client->send("GET", where + "/keys").status, 200);
  EXPECT_EQ(fake->stats().during_retry_after, 1u);
}

TEST_F(FakeCloudflareTest, CountsHowOftenAKeyIsApplied) {
  start();
  const auto applied = [&] { return client->send("GET", "/__control/applied").body; };
  const std::string pairs = R"([{"key":"a","value":"1"},{"key":"b","value":"2"}])";
  EXPECT_TRUE(client->send("PUT", where + "/bulk", pairs).success());
  // Not counted before it was asked for.
  EXPECT_EQ(applied(),
            R"({"put":{"keys":0,"again":0,"most":0},"erased":{"keys":0,"again":0,"most":0}})");
  EXPECT_EQ(client->send("POST", "/__control/applied").status, 200);
  set_faults(R"({"script":[{"route":"PUT bulk","nth":1,"fault":"cut_after"},
                           {"route":"PUT bulk","nth":2,"fault":"500"}],"fail_keys":{"b":1}})");
  EXPECT_EQ(client->send("PUT", where + "/bulk", pairs).status, 0);  // applied but for b
  reconnect();
  EXPECT_EQ(client->send("PUT", where + "/bulk", pairs).status, 500);  // not applied
  EXPECT_TRUE(client->send("PUT", where + "/bulk", pairs).success());
  EXPECT_TRUE(client->send("PUT", where + "/values/a", "3", "text/plain").success());
  EXPECT_TRUE(client->send("POST", where + "/bulk/delete", R"(["a","never there"])").success());
  EXPECT_TRUE(client->send("DELETE", where + "/values/a").success());
  EXPECT_EQ(applied(),
            R"({"put":{"keys":2,"again":2,"most":3},"erased":{"keys":2,"again":1,"most":2}})");
  // The same key of another namespace is another key.
  const std::string other = collection + "/" + fake->create_namespace("Other");
  EXPECT_TRUE(client->send("PUT", other + "/bulk", pairs).success());
  EXPECT_EQ(applied(),
            R"({"put":{"keys":4,"again":2,"most":3},"erased":{"keys":2,"again":1,"most":2}})");
  EXPECT_EQ(client->send("POST", "/__control/applied").status, 200);
  EXPECT_EQ(applied(),
            R"({"put":{"keys":0,"again":0,"most":0},"erased":{"keys":0,"again":0,"most":0}})");
}

TEST(TextTest, ReplacesWhatIsNotUtf8AsDecodersDo) {
  EXPECT_EQ(as_text("plain", true), "plain");
  EXPECT_EQ(as_text("\xC3\xA9", true), "\xC3\xA9");
  EXPECT_EQ(as_text("\xC0\x80", true), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(as_text("\xE2\x82"
                    "a",
                    true),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(as_text("\xED\xA0\x80", true), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(as_text("\xF0\x9F\x98", true), "\xEF\xBF\xBD");
  EXPECT_EQ(as_text("\xEF\xBB\xBF"
                    "a",
                    false),
            "\xEF\xBB\xBF"
            "a");
}

TEST(FaultsTest, RatesAreAboutWhatWasAsked) {
  FaultInjector injector(7);
  injector.set(*parse_fault_plan(R"({"rates":{"500":5,"429":10},"routes":["GET keys"]})"));
  int errors = 0;
  int throttled = 0;
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_EQ(injector.choose("PUT bulk"), Fault::none);
    const Fault fault = injector.choose("GET keys");
    errors += fault == Fault::internal_error ? 1 : 0;
    throttled += fault == Fault::throttled ? 1 : 0;
  }
  EXPECT_NEAR(errors, 500, 150);
  EXPECT_NEAR(throttled, 1000, 200);
}

}  // namespace
}  // namespace sluice::cloudflare_fake
