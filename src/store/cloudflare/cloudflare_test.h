// What the tests of the Cloudflare backend stand on: a server that answers by a script.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "http/scripted_server.h"
#include "store/cloudflare/cloudflare.h"
#include "store/limits.h"

namespace sluice::store::cloudflare_test {

using namespace std::chrono_literals;
using http::cut;
using http::json;
using http::reply;
using http::Reply;
using http::ScriptedServer;
using http::SeenRequest;

inline constexpr std::string_view ok_null = R"({"success":true,"errors":[],"result":null})";

inline std::string keys_page(std::size_t first, std::size_t count, std::string_view cursor) {
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

inline EntryView entry(std::string_view key, std::string_view value = "v") {
  return {.key = key, .value = value, .metadata = {}};
}

}  // namespace sluice::store::cloudflare_test
