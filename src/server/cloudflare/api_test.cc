// Every route, through the real handlers, over real stores.
#include "server/cloudflare/api_test.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include "base/percent.h"
#include "io/stop.h"
#include "store/limits.h"
#include "store/sqlite/sqlite.h"

namespace sluice::server::cloudflare {
namespace {

namespace json = boost::json;

// A backend with what it needs around it.
class Site {
 public:
  virtual ~Site() = default;
  virtual store::Backend& backend() = 0;
};

class MemorySite : public Site {
 public:
  explicit MemorySite(store::MemoryOptions options = {})
      : backend_(store::make_memory_backend(std::move(options))) {}
  store::Backend& backend() override { return *backend_; }

 private:
  std::unique_ptr<store::Backend> backend_;
};

class SqliteSite : public Site {
 public:
  explicit SqliteSite(io::Loop& loop) : stop_(loop.executor()) {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-api-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
    const store::Environment environment{.executor = loop.executor(),
                                         .stop = stop_,
                                         .log = log_,
                                         .setting = [](std::string_view) { return std::string(); },
                                         .data_folder = {},
                                         .gate = {},
                                         .retry = {}};
    opened_ = store::open_sqlite((folder_ / "x.db").string(), environment);
  }
  ~SqliteSite() override {
    opened_ = {};
    std::filesystem::remove_all(folder_);
  }
  store::Backend& backend() override { return *opened_.value().backend; }

 private:
  std::filesystem::path folder_;
  io::Stop stop_;
  Log log_{LogLevel::off};
  Result<store::Opened> opened_;
};

// As narrow as a service may be.
store::MemoryOptions narrow() {
  store::MemoryOptions options;
  options.capabilities = {.list_page = 13,
                          .get_keys = 7,
                          .put_entries = 9,
                          .put_bytes = 100,
                          .erase_keys = 5,
                          .key_bytes = 512,
                          .value_bytes = 25 << 20,
                          .metadata_bytes = 1024,
                          .least_ttl = 60,
                          .seekable = false,
                          .lists_values = false};
  return options;
}

struct Kind {
  std::string name;
  std::function<std::unique_ptr<Site>(io::Loop&)> open;
};

std::string encoded(std::string_view key) {
  std::string out;
  append_percent_encoded(out, key);
  return out;
}

std::string text(const json::value& value) {
  return std::string(value.as_string());
}

class ApiTest : public testing::TestWithParam<Kind> {
 protected:
  io::Loop loop;
  std::unique_ptr<Site> site = GetParam().open(loop);
  Client client{loop, site->backend()};
  std::string id = client.create("n");

  Reply get(std::string_view rest) { return client.request("GET", Client::path(id, rest)); }
  Reply put(std::string_view key, std::string body, std::string_view query = {},
            Client::Headers headers = {}) {
    return client.request("PUT", Client::path(id, "/values/" + encoded(key)) + std::string(query),
                          std::move(body), std::move(headers));
  }
  Reply value(std::string_view key) { return get("/values/" + encoded(key)); }
};

INSTANTIATE_TEST_SUITE_P(
    Stores, ApiTest,
    testing::Values(
        Kind{"Memory", [](io::Loop&) { return std::make_unique<MemorySite>(); }},
        Kind{"Narrow", [](io::Loop&) { return std::make_unique<MemorySite>(narrow()); }},
        Kind{"Sqlite", [](io::Loop& loop) { return std::make_unique<SqliteSite>(loop); }}),
    [](const auto& tested) { return tested.param.name; });

TEST_P(ApiTest, ValuesAreBytes) {
  std::string binary;
  for (int i = 0; i < 1024; ++i) binary += static_cast<char>(i);
  const std::pair<std::string, std::string> table[] = {
      {"plain", "text"},
      {"empty", ""},
      {"binary", binary},
      {"a/b c%d?e#f+g\n\"'ä😀", "odd key"},
      {std::string(512, 'k'), "long key"},
  };
  for (const auto& [key, bytes] : table) {
    const Reply written = put(key, bytes);
    EXPECT_EQ(written.status, 200) << written.body;
    EXPECT_TRUE(written.success());
    const Reply read = value(key);
    EXPECT_EQ(read.status, 200);
    EXPECT_EQ(read.content_type, "application/octet-stream");
    EXPECT_EQ(read.body, bytes);
    EXPECT_EQ(read.header("expiration"), "");
    EXPECT_EQ(get("/metadata/" + encoded(key)).result(), nullptr);
  }
  EXPECT_EQ(client.request("HEAD", Client::path(id, "/values/plain")).status, 200);
  const Reply deleted = client.request("DELETE", Client::path(id, "/values/plain"));
  EXPECT_TRUE(deleted.success()) << deleted.body;
  EXPECT_EQ(value("plain").status, 404);
  EXPECT_EQ(value("plain").code(), 10009);
  EXPECT_EQ(get("/metadata/plain").code(), 10009);
  EXPECT_TRUE(client.request("DELETE", Client::path(id, "/values/plain")).success())
      << "an absent key is a success";
}

TEST_P(ApiTest, ValuesHaveLimits) {
  EXPECT_EQ(put(std::string(513, 'k'), "x").status, 400);
  EXPECT_EQ(put(".", "x").status, 400);
  EXPECT_EQ(put("..", "x").status, 400);
  EXPECT_EQ(put("\xff", "x").status, 400);
  EXPECT_EQ(client.request("PUT", Client::path(id, "/values/%zz"), "x").status, 400);
  EXPECT_EQ(put("large", std::string(kValueBytes, 'v')).status, 200);
  EXPECT_EQ(value("large").body.size(), kValueBytes);
  const Reply larger = put("larger", std::string(kValueBytes + 1, 'v'));
  EXPECT_EQ(larger.status, 413);
  EXPECT_FALSE(larger.success());
  EXPECT_EQ(put("larger", std::string(kValueBytes + (1 << 20), 'v')).status, 413);
  EXPECT_EQ(value("larger").status, 404);
}

TEST_P(ApiTest, ValuesExpire) {
  const std::int64_t now = store::unix_now();
  EXPECT_EQ(put("k", "v", "?expiration_ttl=59").status, 400);
  EXPECT_EQ(put("k", "v", fmt::format("?expiration={}", now + 30)).status, 400);
  EXPECT_EQ(put("k", "v", "?expiration=soon").status, 400);
  EXPECT_EQ(value("k").status, 404) << "what is refused is not written";
  EXPECT_EQ(put("k", "v", fmt::format("?expiration={}", now + 5000)).status, 200);
  EXPECT_EQ(value("k").header("expiration"), std::to_string(now + 5000));
  EXPECT_EQ(put("k", "v", fmt::format("?expiration={}&expiration_ttl=100", now + 5000)).status,
            200);
  const std::int64_t expires = std::stoll(value("k").header("expiration"));
  EXPECT_GE(expires, now + 100);
  EXPECT_LT(expires, now + 1000);
  EXPECT_EQ(get("/keys").result().at(0).at("expiration").as_int64(), expires);
}

TEST_P(ApiTest, FormsCarryMetadata) {
  const auto form = [](std::string_view name, std::string_view content) {
    return fmt::format("--b\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n{}\r\n", name,
                       content);
  };
  const Client::Headers type = {{"Content-Type", "multipart/form-data; boundary=b"}};
  const auto send = [&](const std::string& parts) { return put("k", parts + "--b--", {}, type); };
  const std::string binary("\0\r\n--\xff", 6);
  EXPECT_TRUE(send(form("value", binary) + form("metadata", R"({"a" : [1]})")).success());
  EXPECT_EQ(value("k").body, binary);
  EXPECT_EQ(get("/metadata/k").result(), json::parse(R"({"a":[1]})"));
  EXPECT_NE(get("/keys").body.find(R"("metadata":{"a" : [1]})"), std::string::npos)
      << "metadata is the text that it came as";
  EXPECT_TRUE(send(form("metadata", "null") + form("value", "")).success());
  EXPECT_EQ(get("/metadata/k").result(), nullptr);
  EXPECT_EQ(value("k").body, "");

  EXPECT_EQ(send(form("metadata", "{}")).status, 400);
  EXPECT_EQ(send(form("value", "x") + form("metadata", "{")).status, 400);
  EXPECT_EQ(send(form("value", "x") + form("value", "y")).status, 400);
  EXPECT_EQ(send(form("value", "x") + form("metadata", '"' + std::string(1024, 'm') + '"')).status,
            413);
  EXPECT_EQ(put("k", "no form", {}, type).status, 400);
  EXPECT_EQ(value("k").body, "");
  EXPECT_TRUE(
      send(form("value", "x") + form("metadata", '"' + std::string(1022, 'm') + '"')).success());
}

TEST_P(ApiTest, BulkWritesAndReads) {
  json::array pairs;
  for (int i = 0; i < 100; ++i) {
    pairs.push_back({{"key", fmt::format("k{:03}", i)},
                     {"value", fmt::format("value {}", i)},
                     {"metadata", {{"i", i}}}});
  }
  pairs.push_back({{"key", "bytes"}, {"value", "Yf9i"}, {"base64", true}});
  pairs.push_back({{"key", "k000"}, {"value", "the later one stays"}});
  pairs.push_back({{"key", "json"}, {"value", R"({"x":[1, 2]})"}});
  const Reply written = client.request("PUT", Client::path(id, "/bulk"), json::serialize(pairs));
  ASSERT_EQ(written.status, 200) << written.body;
  EXPECT_EQ(written.result().at("successful_key_count").as_int64(), 103);
  EXPECT_TRUE(written.result().at("unsuccessful_keys").as_array().empty());
  EXPECT_EQ(value("k000").body, "the later one stays");
  EXPECT_EQ(value("bytes").body,
            "a\xff"
            "b");

  const auto bulk_get = [&](const json::value& body) {
    return client.request("POST", Client::path(id, "/bulk/get"), json::serialize(body));
  };
  json::array keys;
  for (int i = 1; i < 98; ++i) keys.emplace_back(fmt::format("k{:03}", i));
  keys.insert(keys.end(), {"bytes", "missing", "k001"});
  const Reply read = bulk_get({{"keys", keys}});
  ASSERT_EQ(read.status, 200) << read.body;
  const json::value values = read.result().at("values");
  EXPECT_EQ(values.as_object().size(), 99u);
  for (int i = 1; i < 98; ++i) {
    EXPECT_EQ(text(values.at(fmt::format("k{:03}", i))), fmt::format("value {}", i));
  }
  EXPECT_EQ(values.at("bytes"), "a\uFFFDb");
  EXPECT_EQ(values.at("missing"), nullptr);
  const json::value with =
      bulk_get({{"keys", {"k001", "missing"}}, {"withMetadata", true}}).result().at("values");
  EXPECT_EQ(with.at("k001"), json::parse(R"({"value":"value 1","metadata":{"i":1}})"));
  EXPECT_EQ(with.at("missing"), nullptr);
  EXPECT_EQ(bulk_get({{"keys", {"json"}}, {"type", "json"}}).result().at("values").at("json"),
            json::parse(R"({"x":[1,2]})"));
  EXPECT_EQ(bulk_get({{"keys", {"k001"}}, {"type", "json"}}).status, 400);
  keys.emplace_back("one too many");
  EXPECT_EQ(bulk_get({{"keys", keys}}).status, 400);

  const std::string some = R"(["k001","k002","missing","k003","k004","k005","k006"])";
  const Reply deleted = client.request("DELETE", Client::path(id, "/bulk"), some);
  EXPECT_EQ(deleted.result().at("successful_key_count").as_int64(), 7) << deleted.body;
  EXPECT_EQ(value("k006").status, 404);
  EXPECT_EQ(value("k007").status, 200);
  const Reply posted = client.request("POST", Client::path(id, "/bulk/delete"), R"(["k007"])");
  EXPECT_EQ(posted.result().at("successful_key_count").as_int64(), 1);
  EXPECT_EQ(value("k007").status, 404);
}

TEST_P(ApiTest, BulkCallsAreRefusedAsAWhole) {
  const auto bulk = [&](std::string body) {
    return client.request("PUT", Client::path(id, "/bulk"), std::move(body));
  };
  EXPECT_EQ(bulk(R"([{"key":"good","value":"x"},{"key":"","value":"x"}])").status, 400);
  EXPECT_EQ(value("good").status, 404);
  EXPECT_EQ(bulk("not json").status, 400);
  std::string many = "[";
  for (int i = 0; i <= 10'000; ++i) many += fmt::format(R"("{}",)", i);
  many.back() = ']';
  const Reply refused = client.request("POST", Client::path(id, "/bulk/delete"), many);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.code(), 10012);
  const std::string unknown = Client::path(std::string(32, '0'), "/bulk");
  EXPECT_EQ(client.request("PUT", unknown, "[]").code(), 10013);
  EXPECT_EQ(bulk("[]").result().at("successful_key_count").as_int64(), 0);
}

TEST_P(ApiTest, BulkGetHasALimitOfBytes) {
  for (const char* key : {"a", "b", "c"}) put(key, std::string(9 << 20, 'v'));
  const auto bulk_get = [&](std::string body) {
    return client.request("POST", Client::path(id, "/bulk/get"), std::move(body));
  };
  EXPECT_EQ(bulk_get(R"({"keys":["a","b"]})").status, 200);
  EXPECT_EQ(bulk_get(R"({"keys":["a","b","c"]})").status, 413);
}

TEST_P(ApiTest, ListingsPage) {
  const Reply empty = get("/keys");
  EXPECT_EQ(empty.result(), json::array());
  EXPECT_EQ(empty.info(), json::parse(R"({"count":0,"cursor":""})"));
  EXPECT_EQ(get("/keys?limit=9").status, 400);
  EXPECT_EQ(get("/keys?limit=1001").status, 400);
  EXPECT_EQ(get("/keys?limit=ten").status, 400);
  EXPECT_EQ(get("/keys?prefix=%ff").status, 400);
  EXPECT_EQ(get("/keys?cursor=made-up").status, 400);

  std::vector<std::string> all;
  json::array pairs;
  for (int i = 0; i < 230; ++i) {
    all.push_back(fmt::format("{}/{:03}", i % 2 == 0 ? "even" : "odd \"ä", i));
    pairs.push_back({{"key", all.back()}, {"value", "v"}});
  }
  ASSERT_EQ(client.request("PUT", Client::path(id, "/bulk"), json::serialize(pairs)).status, 200);
  std::ranges::sort(all);
  for (const std::string_view prefix : {"", "even", "odd \"ä/1", "none"}) {
    std::vector<std::string> expected;
    for (const std::string& key : all) {
      if (key.starts_with(prefix)) expected.push_back(key);
    }
    for (const int limit : {10, 11, 64, 229, 230, 1000}) {
      std::vector<std::string> listed;
      std::string cursor;
      std::string other_cursor;
      do {
        const Reply page =
            get(fmt::format("/keys?limit={}&prefix={}&cursor={}", limit, encoded(prefix), cursor));
        ASSERT_EQ(page.status, 200) << page.body;
        const json::value result = page.result();
        ASSERT_LE(result.as_array().size(), static_cast<std::size_t>(limit));
        EXPECT_EQ(page.info().at("count").as_int64(), std::ssize(result.as_array()));
        for (const json::value& key : result.as_array()) {
          listed.emplace_back(key.at("name").as_string());
        }
        cursor = page.info().at("cursor").as_string();
        if (!cursor.empty()) other_cursor = cursor;
        ASSERT_LE(listed.size(), expected.size());
      } while (!cursor.empty());
      EXPECT_EQ(listed, expected) << prefix << " by " << limit;
      if (other_cursor.empty()) continue;
      EXPECT_EQ(get("/keys?prefix=x&cursor=" + other_cursor).status, 400);
      const std::string other = client.create(fmt::format("other {} {}", prefix, limit));
      EXPECT_EQ(client
                    .request("GET", Client::path(other, fmt::format("/keys?prefix={}&cursor={}",
                                                                    encoded(prefix), other_cursor)))
                    .status,
                400);
    }
  }
}

TEST_P(ApiTest, NamespacesAreMadeRenamedAndDeleted) {
  const std::string all(Client::kAll);
  EXPECT_EQ(id.size(), 32u);
  EXPECT_EQ(
      get("").result(),
      json::parse(fmt::format(R"({{"id":"{}","title":"n","supports_url_encoding":true}})", id)));
  const Reply again = client.request("POST", all, R"({"title":"n"})");
  EXPECT_EQ(again.status, 400);
  EXPECT_EQ(again.code(), 10014);
  EXPECT_EQ(client.request("POST", all, R"({"title":""})").status, 400);
  EXPECT_EQ(client.request("POST", all, "x").status, 400);
  EXPECT_EQ(put("k", "v").status, 200);

  const Reply renamed = client.request("PUT", Client::path(id), R"({"title":"new \"ä"})");
  EXPECT_EQ(renamed.result().at("title"), "new \"ä");
  EXPECT_EQ(get("").result().at("title"), "new \"ä");
  EXPECT_EQ(value("k").body, "v");
  const std::string other = client.create("n");
  EXPECT_NE(other, id);
  EXPECT_EQ(client.request("PUT", Client::path(other), R"({"title":"new \"ä"})").code(), 10014);

  EXPECT_EQ(client.request("DELETE", Client::path(id)).result(), nullptr);
  for (const std::string_view rest : {"", "/keys", "/values/k", "/metadata/k"}) {
    EXPECT_EQ(get(rest).status, 404) << rest;
    EXPECT_EQ(get(rest).code(), 10013) << rest;
  }
  EXPECT_EQ(put("k", "v").code(), 10013);
  EXPECT_EQ(client.request("DELETE", Client::path(id)).code(), 10013);
  EXPECT_EQ(client.request("GET", Client::path("not-an-id")).code(), 10013);
}

TEST_P(ApiTest, NamespacesAreListedByPages) {
  for (int i = 0; i < 25; ++i) client.create(fmt::format("t{:02}", 24 - i));
  const auto list = [&](std::string_view query) {
    return client.request("GET", std::string(Client::kAll) + std::string(query));
  };
  const Reply first = list("");
  EXPECT_EQ(first.info(), json::parse(R"({"page":1,"per_page":20,"count":20,"total_count":27})"));
  std::vector<std::string> ids;
  std::vector<std::string> titles;
  for (int page = 1;; ++page) {
    const json::value result =
        list(fmt::format("?page={}&per_page=10&order=title&direction=desc", page)).result();
    if (result.as_array().empty()) break;
    for (const json::value& item : result.as_array()) {
      ids.emplace_back(item.at("id").as_string());
      titles.emplace_back(item.at("title").as_string());
    }
  }
  EXPECT_EQ(titles.size(), 27u);
  EXPECT_TRUE(std::ranges::is_sorted(titles, std::greater()));
  std::ranges::sort(ids);
  EXPECT_EQ(std::ranges::unique(ids).begin(), ids.end());
  const json::value by_id = list("?per_page=1000&order=id").result();
  ASSERT_EQ(by_id.as_array().size(), ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(text(by_id.at(i).at("id")), ids[i]);
  EXPECT_EQ(list("?page=9223372036854775807&per_page=1000").info().at("count").as_int64(), 0);
  for (const std::string_view bad : {"?page=0", "?per_page=0", "?per_page=1001", "?page=x",
                                     "?order=size", "?direction=up", "?page=%"}) {
    EXPECT_EQ(list(bad).status, 400) << bad;
  }
}

TEST_P(ApiTest, WhatIsNoRouteIsRefusedInTheEnvelope) {
  for (const std::string_view path : {"/client/v4/nothing", "/client/v4/accounts/a/storage/kv"}) {
    const Reply reply = client.request("GET", std::string(path));
    EXPECT_EQ(reply.status, 404);
    EXPECT_EQ(reply.code(), 7003);
    EXPECT_EQ(reply.result(), nullptr);
  }
  const Reply method = client.request("PATCH", Client::path(id));
  EXPECT_EQ(method.status, 405);
  EXPECT_FALSE(method.success());
  EXPECT_FALSE(method.header("Allow").empty());
  EXPECT_EQ(client.request("GET", Client::path(id, "/values/a/b")).status, 404)
      << "the slash of a key has to be encoded";
}

// Paging with any limit gives each key once, in order, whatever the keys are.
RC_GTEST_PROP(Paging, GivesEachKeyOnce, ()) {
  io::Loop loop;
  const auto backend =
      store::make_memory_backend(*rc::gen::arbitrary<bool>() ? narrow() : store::MemoryOptions());
  Client client(loop, *backend);
  const std::string id = client.create("n");
  std::set<std::string> keys;
  const auto count = *rc::gen::inRange(0, 80);
  for (int i = 0; i < count; ++i) {
    keys.insert(*rc::gen::container<std::string>(*rc::gen::inRange<std::size_t>(1, 6),
                                                 rc::gen::elementOf(std::string("ab\"\\ /%\n"))));
  }
  json::array pairs;
  for (const std::string& key : keys) pairs.push_back({{"key", key}, {"value", ""}});
  RC_ASSERT(client.request("PUT", Client::path(id, "/bulk"), json::serialize(pairs)).status == 200);
  const std::string prefix = *rc::gen::element<std::string>("", "a", "a/", "\"");
  std::vector<std::string> listed;
  std::string cursor;
  do {
    const Reply page = client.request(
        "GET", Client::path(id, fmt::format("/keys?limit={}&prefix={}&cursor={}",
                                            *rc::gen::inRange(10, 40), encoded(prefix), cursor)));
    RC_ASSERT(page.status == 200);
    const json::value result = page.result();
    for (const json::value& key : result.as_array()) {
      listed.emplace_back(key.at("name").as_string());
    }
    cursor = page.info().at("cursor").as_string();
  } while (!cursor.empty());
  std::erase_if(keys, [&](const std::string& key) { return !key.starts_with(prefix); });
  RC_ASSERT(std::ranges::equal(listed, keys));
}

}  // namespace
}  // namespace sluice::server::cloudflare
