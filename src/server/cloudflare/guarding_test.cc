// Who may do what, how often, and what becomes of failures of the store and of a lack of memory.
#include <gtest/gtest.h>
#include <openssl/sha.h>

#include "server/cloudflare/api_test.h"
#include "store/decorator.h"
#include "store/faulty.h"

namespace sluice::server::cloudflare {
namespace {

using std::chrono::milliseconds;

std::string sha256(std::string_view text) {
  Token::Hash hash;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data());
  std::string hex;
  for (const unsigned char byte : hash) hex += fmt::format("{:02x}", byte);
  return hex;
}

Client::Headers bearer(std::string_view token) {
  return {{"Authorization", fmt::format("Bearer {}", token)}};
}

// A backend that counts and fails on command.
class TroubledBackend : public store::BackendDecorator {
 public:
  TroubledBackend() : BackendDecorator(store::make_memory_backend()) {}

  io::Task<Result<std::vector<store::Namespace>>> namespaces() override {
    ++listings;
    if (error) co_return std::unexpected(*error);
    co_return co_await below().namespaces();
  }
  std::unique_ptr<store::Store> open(const store::Namespace& which) override {
    ++opened;
    return std::make_unique<store::FaultyStore>(
        below().open(which),
        [this](const store::FaultyCall& call) { return hook ? hook(call) : store::Fault{}; });
  }
  using BackendDecorator::below;

  int listings = 0;
  int opened = 0;
  std::optional<Error> error;  // of a listing of the namespaces
  store::FaultyStore::Hook hook;
};

class Guarding : public testing::Test {
 protected:
  static std::shared_ptr<const Tokens> tokens() {
    const std::string text = fmt::format(
        R"(
[[token]]
name = "writer"
sha256 = "{}"
access = "write"
[[token]]
name = "reader"
sha256 = "{}"
access = "read"
accounts = ["acc"]
[[token]]
name = "of one"
sha256 = "{}"
access = "write"
namespaces = ["mine"]
[[token]]
name = "elsewhere"
sha256 = "{}"
access = "write"
accounts = ["other"]
[[token]]
name = "key"
sha256 = "{}"
access = "write"
email = "me@example.com"
)",
        sha256("w"), sha256("r"), sha256("m"), sha256("e"), sha256("k"));
    return std::make_shared<const Tokens>(Tokens::parse(text, "tokens.toml").value());
  }
  static constexpr std::string_view kAll = Client::kAll;

  io::Loop loop;
  TroubledBackend backend;
};

TEST_F(Guarding, CredentialsAreAskedFor) {
  Client client(loop, backend, {.tokens = tokens()});
  struct Row {
    Client::Headers headers;
    int status;
    int code;
  };
  const Row table[] = {
      {{}, 400, 9106},
      {{{"Authorization", "Basic dzp3"}}, 400, 6003},
      {{{"Authorization", "Bearer "}}, 400, 6003},
      {{{"X-Auth-Key", "k"}}, 400, 6003},
      {bearer("W"), 403, 9109},
      {bearer("k"), 403, 9109},  // a key is no token
      {{{"X-Auth-Email", "other@example.com"}, {"X-Auth-Key", "k"}}, 403, 9103},
      {{{"X-Auth-Email", "me@example.com"}, {"X-Auth-Key", "w"}}, 403, 9103},
      {{{"X-Auth-Email", "me@example.com"}, {"X-Auth-Key", "k"}}, 200, 0},
      {{{"x-auth-email", "me@example.com"}, {"x-auth-key", "k"}}, 200, 0},
      {{{"authorization", "bearer w"}}, 200, 0},
      {bearer("r"), 200, 0},
      {bearer("e"), 403, 10000},
  };
  for (const Row& row : table) {
    const Reply reply = client.request("GET", std::string(kAll), {}, row.headers);
    EXPECT_EQ(reply.status, row.status) << reply.body;
    EXPECT_EQ(reply.code(), row.code) << reply.body;
    EXPECT_EQ(reply.success(), row.status == 200);
  }
}

// A page that is open in a browser beside the server reaches it, and needs no answer to do harm.
TEST_F(Guarding, WebPagesOfOtherSitesNeedAToken) {
  Client open(loop, backend);
  Client guarded(loop, backend, {.tokens = tokens()});
  const std::string body = R"({"title":"t"})";
  for (const char* origin :
       {"http://evil.example", "http://evil.example:8787", "null", "", "https://",
        "http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://192.0.2.1:80",
        "http://[2001:db8::1]:80", "http://["}) {
    const Reply reply = open.request("POST", std::string(kAll), body, {{"Origin", origin}});
    EXPECT_EQ(reply.status, 403) << origin;
    EXPECT_EQ(reply.code(), 10000) << origin;
  }
  EXPECT_EQ(open.request("GET", std::string(kAll)).result().as_array().size(), 1u) << "default";
  for (const char* origin : {"http://localhost:5173", "http://127.0.0.1:8787", "https://[::1]:8787",
                             "http://app.localhost"}) {
    const Reply reply = open.request("GET", std::string(kAll), {}, {{"Origin", origin}});
    EXPECT_EQ(reply.status, 200) << origin;
  }
  // A page has to be given the token, so it may be anybody's.
  Client::Headers headers = bearer("w");
  headers.emplace_back("Origin", "http://app.example");
  EXPECT_EQ(guarded.request("POST", std::string(kAll), body, headers).status, 200);
}

TEST_F(Guarding, ReadersDoNotWrite) {
  Client client(loop, backend, {.tokens = tokens()});
  const std::string id = client.create("n", bearer("w"));
  struct Row {
    std::string method;
    std::string rest;
    std::string body;
    bool read;
  };
  const Row table[] = {
      {"GET", "", "", true},
      {"GET", "/keys", "", true},
      {"POST", "/bulk/get", R"({"keys":["k"]})", true},
      {"PUT", "", R"({"title":"t"})", false},
      {"DELETE", "", "", false},
      {"PUT", "/values/k", "v", false},
      {"DELETE", "/values/k", "", false},
      {"PUT", "/bulk", "[]", false},
      {"DELETE", "/bulk", "[]", false},
      {"POST", "/bulk/delete", "[]", false},
  };
  for (const Row& row : table) {
    const Reply reply =
        client.request(row.method, Client::path(id, row.rest), row.body, bearer("r"));
    EXPECT_EQ(reply.status, row.read ? 200 : 403) << row.method << row.rest << reply.body;
    if (!row.read) EXPECT_EQ(reply.code(), 10000);
  }
  EXPECT_EQ(client.request("POST", std::string(kAll), R"({"title":"t"})", bearer("r")).status, 403);
  EXPECT_EQ(client.request("GET", Client::path(id), {}, bearer("w")).result().at("title"), "n")
      << "nothing was changed";
}

TEST_F(Guarding, TokensOfANamespaceStayInIt) {
  Client client(loop, backend, {.tokens = tokens()});
  const std::string mine = client.create("mine", bearer("w"));
  const std::string other = client.create("other", bearer("w"));
  const auto ask = [&](std::string method, const std::string& path, std::string body = {}) {
    return client.request(std::move(method), path, std::move(body), bearer("m"));
  };
  EXPECT_EQ(ask("PUT", Client::path(mine, "/values/k"), "v").status, 200);
  EXPECT_EQ(ask("GET", Client::path(mine, "/values/k")).body, "v");
  for (const std::string& id : {other, std::string(32, '0')}) {
    // Who may not use it is not told whether it exists.
    for (const std::string_view rest : {"", "/keys", "/values/k", "/metadata/k"}) {
      EXPECT_EQ(ask("GET", Client::path(id, rest)).code(), 10000) << rest;
    }
    EXPECT_EQ(ask("PUT", Client::path(id, "/values/k"), "v").code(), 10000);
    EXPECT_EQ(ask("PUT", Client::path(id, "/bulk"), "[]").code(), 10000);
    EXPECT_EQ(ask("POST", Client::path(id, "/bulk/get"), R"({"keys":["k"]})").code(), 10000);
    EXPECT_EQ(ask("DELETE", Client::path(id)).code(), 10000);
    EXPECT_EQ(ask("PUT", Client::path(id), R"({"title":"mine too"})").code(), 10000);
  }
  EXPECT_EQ(ask("PUT", Client::path(mine), R"({"title":"not mine"})").code(), 10000);
  EXPECT_EQ(ask("POST", std::string(kAll), R"({"title":"new"})").code(), 10000);
  const Reply list = ask("GET", std::string(kAll));
  ASSERT_EQ(list.result().as_array().size(), 1u) << list.body;
  EXPECT_EQ(list.result().at(0).at("title"), "mine");
  EXPECT_EQ(list.info().at("total_count").as_int64(), 1);
  // The namespace's title is what counts, not the one that it had.
  EXPECT_EQ(client.request("PUT", Client::path(mine), R"({"title":"theirs"})", bearer("w")).status,
            200);
  EXPECT_EQ(ask("GET", Client::path(mine, "/values/k")).code(), 10000);
}

TEST_F(Guarding, OneAccountCanBeTheOnlyOne) {
  Client client(loop, backend, {.account = "acc"});
  EXPECT_EQ(client.request("GET", std::string(kAll)).status, 200);
  const Reply other = client.request("GET", "/client/v4/accounts/b/storage/kv/namespaces");
  EXPECT_EQ(other.status, 403);
  EXPECT_EQ(other.code(), 10000);
}

TEST_F(Guarding, TheRateIsLimited) {
  const auto limit = std::make_shared<RateLimit>(flow::Quota{3, std::chrono::seconds(300)});
  Client client(loop, backend, {.tokens = tokens(), .rate_limit = limit});
  const auto ask = [&](std::string_view token, std::string path = std::string(kAll)) {
    return client.request("GET", std::move(path), {}, bearer(token));
  };
  const Reply first = ask("w");
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.header("Ratelimit"), R"("default";r=2;t=300)");
  EXPECT_EQ(first.header("Ratelimit-Policy"), R"("default";q=3;w=300)");
  EXPECT_EQ(first.header("retry-after"), "");
  const Reply missing = ask("w", Client::path(std::string(32, '0')));
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.header("Ratelimit"), R"("default";r=1;t=300)") << "refusals bear it, too";
  EXPECT_EQ(ask("w").status, 200);
  const Reply blocked = ask("w");
  EXPECT_EQ(blocked.status, 429);
  EXPECT_EQ(blocked.code(), 971);
  EXPECT_EQ(blocked.header("retry-after"), "300");
  EXPECT_EQ(blocked.header("Ratelimit"), R"("default";r=0;t=300)");
  EXPECT_EQ(ask("r").status, 200) << "each credential has its own";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(fmt::format("made up {}", i)).status, 403);
  EXPECT_EQ(ask("made up").status, 429) << "those that nobody knows share one";
  EXPECT_EQ(ask("r").status, 200);
  // A failure of the store is an answer with the headers.
  backend.error = Error{ErrorCode::unavailable, Retry::again, std::nullopt, "secret details"};
  const Reply failed = ask("r");
  EXPECT_EQ(failed.status, 503);
  EXPECT_EQ(failed.header("Ratelimit"), R"("default";r=0;t=300)");
}

TEST_F(Guarding, FailuresOfTheStoreTellLittle) {
  Client client(loop, backend);
  const std::string id = client.create("n");
  struct Row {
    ErrorCode error;
    int status;
    int code;
  };
  const Row table[] = {
      {ErrorCode::throttled, 429, 971},     {ErrorCode::unavailable, 503, 10001},
      {ErrorCode::network, 503, 10001},     {ErrorCode::timeout, 503, 10001},
      {ErrorCode::conflict, 409, 10046},    {ErrorCode::unauthorized, 500, 10001},
      {ErrorCode::io, 500, 10001},          {ErrorCode::no_space, 500, 10001},
      {ErrorCode::corrupt, 500, 10001},     {ErrorCode::protocol, 500, 10001},
      {ErrorCode::not_found, 404, 10013},   {ErrorCode::too_large, 413, 10040},
      {ErrorCode::unsupported, 501, 10001},
  };
  const std::pair<std::string, std::string> calls[] = {
      {"GET", "/keys"},        {"GET", "/values/k"}, {"GET", "/metadata/k"}, {"PUT", "/values/k"},
      {"DELETE", "/values/k"}, {"PUT", "/bulk"},     {"DELETE", "/bulk"},    {"POST", "/bulk/get"}};
  for (const Row& row : table) {
    backend.hook = [&](const store::FaultyCall&) {
      return store::Fault{
          .fails = Error{row.error, Retry::never, milliseconds(1500), "/secret/path is broken"}};
    };
    for (const auto& [method, rest] : calls) {
      const std::string body = rest == "/bulk/get"  ? R"({"keys":["k"]})"
                               : method == "DELETE" ? R"(["k"])"
                                                    : R"([{"key":"k","value":"v"}])";
      const Reply reply = client.request(method, Client::path(id, rest), body);
      EXPECT_EQ(reply.status, row.status) << method << rest << reply.body;
      EXPECT_EQ(reply.code(), row.code) << method << rest << reply.body;
      EXPECT_EQ(reply.body.find("secret"), std::string::npos);
      if (row.status == 429) EXPECT_EQ(reply.header("retry-after"), "2");
    }
  }
}

TEST_F(Guarding, KeysThatFailAreNamed) {
  Client client(loop, backend);
  const std::string id = client.create("n");
  backend.hook = [](const store::FaultyCall&) {
    return store::Fault{
        .failing_keys = {{1, Error{ErrorCode::unavailable, Retry::again, std::nullopt, "no"}}}};
  };
  const std::string pairs = R"([{"key":"a","value":""},{"key":"b\"","value":""}])";
  for (const auto& [method, body] :
       {std::pair<std::string, std::string>("PUT", pairs), {"DELETE", R"(["a","b\""])"}}) {
    const Reply reply = client.request(method, Client::path(id, "/bulk"), body);
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.result(),
              boost::json::parse(R"({"successful_key_count":1,"unsuccessful_keys":["b\""]})"));
  }
  // A value that cannot be read is not a key that is not there.
  EXPECT_EQ(client.request("POST", Client::path(id, "/bulk/get"), R"({"keys":["a","b"]})").status,
            503);
}

TEST_F(Guarding, WhatWasWrittenBeforeAFailureIsTold) {
  class NarrowBackend : public TroubledBackend {
   public:
    std::unique_ptr<store::Store> open(const store::Namespace& which) override {
      auto store = std::make_unique<store::FaultyStore>(
          below().open(which), [this](const store::FaultyCall& call) { return hook(call); });
      store::Capabilities capabilities = store->capabilities();
      capabilities.erase_keys = 2;
      store->set_capabilities(capabilities);
      return store;
    }
  } narrow_backend;
  narrow_backend.hook = [](const store::FaultyCall& call) {
    if (call.number != 2) return store::Fault{};
    return store::Fault{.fails = Error{ErrorCode::network, Retry::again, std::nullopt, "cut"}};
  };
  Client client(loop, narrow_backend);
  const std::string id = client.create("n");
  const Reply reply =
      client.request("DELETE", Client::path(id, "/bulk"), R"(["a","b","c","d","e"])");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.result(),
            boost::json::parse(R"({"successful_key_count":2,"unsuccessful_keys":["c","d","e"]})"));
}

TEST_F(Guarding, NamespacesAreLookedUpOnce) {
  Client client(loop, backend);
  const std::string id = client.create("n");
  const int opened = backend.opened;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(client.request("GET", Client::path(id, "/values/k")).code(), 10009);
  }
  EXPECT_EQ(backend.listings, 1);
  EXPECT_EQ(backend.opened, opened + 1);
  // A flood of ids that nobody has: all that wait share a listing.
  const io::Executor executor = loop.executor();
  const auto flood = [&]() -> io::Task<int> {
    std::vector<io::Started<Reply>> started;
    for (int i = 0; i < 1000; ++i) {
      const std::string path = Client::path(fmt::format("{:032x}", i), "/values/k");
      started.push_back(io::start(executor, client.call("GET", path)));
    }
    int missing = 0;
    for (auto& each : started) {
      const Reply reply = co_await each.get();
      if (reply.status == 404 && reply.code() == 10013) ++missing;
    }
    co_return missing;
  };
  EXPECT_EQ(loop.run(flood()), 1000);
  EXPECT_LE(backend.listings, 3);
  // What is no id at all costs nothing.
  const int before = backend.listings;
  EXPECT_EQ(client.request("GET", Client::path("default", "/values/k")).code(), 10013);
  EXPECT_EQ(backend.listings, before);
}

TEST_F(Guarding, ChangesOfOthersAreSeen) {
  const auto changes = std::make_shared<NamespaceChanges>();
  Client one(loop, backend, {.changes = changes});
  Client two(loop, backend, {.changes = changes});
  const std::string id = one.create("n");
  EXPECT_EQ(two.request("PUT", Client::path(id, "/values/k"), "v").status, 200);
  EXPECT_EQ(one.request("PUT", Client::path(id), R"({"title":"m"})").status, 200);
  EXPECT_EQ(two.request("GET", Client::path(id)).result().at("title"), "m");
  EXPECT_EQ(one.request("DELETE", Client::path(id)).status, 200);
  EXPECT_EQ(two.request("GET", Client::path(id, "/values/k")).code(), 10013);
  // Another program's.
  const auto made = loop.run(backend.below().create_namespace("by another program")).value();
  const std::string path = Client::path(wire_id(made.id), "/values/k");
  EXPECT_EQ(one.request("PUT", path, "v").status, 200);
  EXPECT_TRUE(loop.run(backend.below().delete_namespace(made)));
  EXPECT_EQ(one.request("GET", path).code(), 10013);
}

TEST_F(Guarding, FewStoresStayOpen) {
  NamespaceTable table(backend, nullptr);
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < NamespaceTable::kMostOpen + 10; ++i) {
    ids.push_back(wire_id(loop.run(backend.below().create_namespace(fmt::format("n{}", i)))->id));
  }
  const auto first = loop.run(table.find(ids.front())).value();
  for (const std::string& id : ids) EXPECT_NE(table.known(id), nullptr);
  const int opened = backend.opened;
  EXPECT_EQ(opened, static_cast<int>(ids.size()));
  EXPECT_NE(table.known(ids.back()), nullptr);
  EXPECT_EQ(backend.opened, opened) << "it is open";
  EXPECT_NE(table.known(ids.front()), first);
  EXPECT_EQ(backend.opened, opened + 1) << "it was closed, being the one used longest ago";
  const std::string_view key = "k";
  EXPECT_TRUE(loop.run(first->store->get({&key, 1}))) << "whoever holds it can go on";
}

TEST_F(Guarding, LargeAnswersHoldMemory) {
  http::MemoryBudget budget(1 << 20);
  Client client(loop, backend, {.memory = &budget, .patience = milliseconds(200)});
  const std::string id = client.create("n");
  const std::string large(700'000, 'v');
  EXPECT_EQ(client.request("PUT", Client::path(id, "/values/large"), large).status, 200);
  EXPECT_EQ(client.request("PUT", Client::path(id, "/values/small"), "v").status, 200);
  EXPECT_EQ(client.request("GET", Client::path(id, "/values/small")).lease, 0u);
  const Reply held = client.request("GET", Client::path(id, "/values/large"));
  EXPECT_EQ(held.lease, large.size());
  EXPECT_EQ(held.body, large);
  EXPECT_EQ(budget.in_use(), 0u) << "given back with the answer";

  http::MemoryBudget::Lease other;
  ASSERT_TRUE(budget.try_cover(other, 600'000));
  for (const auto& [method, rest, body] :
       {std::tuple("GET", "/values/large", ""),
        std::tuple("POST", "/bulk/get", R"({"keys":["large"]})")}) {
    const Reply full = client.request(method, Client::path(id, rest), body);
    EXPECT_EQ(full.status, 503) << rest;
    EXPECT_FALSE(full.success());
  }
  EXPECT_EQ(client.request("GET", Client::path(id, "/values/small")).status, 200);
  EXPECT_EQ(budget.in_use(), 600'000u);
}

TEST_F(Guarding, LargeAnswersWaitForRoom) {
  http::MemoryBudget budget(1 << 20);
  Client client(loop, backend, {.memory = &budget});
  const std::string id = client.create("n");
  const std::string large(700'000, 'v');
  EXPECT_EQ(client.request("PUT", Client::path(id, "/values/large"), large).status, 200);
  http::MemoryBudget::Lease other;
  ASSERT_TRUE(budget.try_cover(other, 600'000));
  // The room is given back after the value was got for the first time.
  int gets = 0;
  backend.hook = [&](const store::FaultyCall& call) {
    if (call.operation == store::Operation::get_exact && ++gets == 1) {
      boost::asio::post(loop.context(), [&] { other = {}; });
    }
    return store::Fault{};
  };
  const Reply reply = client.request("GET", Client::path(id, "/values/large"));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, large);
  EXPECT_EQ(reply.lease, large.size());
}

// However long a bulk get takes to make, what it is made in is counted: the values that were got
// and the text that they become.
TEST_F(Guarding, BulkGetsAreMadeWithinTheBudget) {
  http::MemoryBudget budget(4 << 20);
  Client client(loop, backend, {.memory = &budget, .patience = milliseconds(200)});
  const std::string id = client.create("n");
  const std::string large(1'000'000, '\x01');  // six times as long in JSON
  EXPECT_EQ(client.request("PUT", Client::path(id, "/values/large"), large).status, 200);
  EXPECT_EQ(client.request("PUT", Client::path(id, "/values/small"), "v").status, 200);
  const std::string path = Client::path(id, "/bulk/get");
  EXPECT_EQ(client.request("POST", path, R"({"keys":["large"]})").status, 503);
  EXPECT_EQ(client.request("POST", path, R"({"keys":["small"]})").lease, 0u);
  EXPECT_EQ(budget.in_use(), 0u);

  http::MemoryBudget enough(8 << 20);
  Client other(loop, backend, {.memory = &enough});
  const Reply reply = other.request("POST", path, R"({"keys":["large"]})");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.lease, reply.body.size()) << "the values themselves are gone by then";
  EXPECT_GT(reply.lease, 6'000'000u);

  // When there is no room, it waits and holds nothing meanwhile.
  http::MemoryBudget::Lease taken;
  ASSERT_TRUE(enough.try_cover(taken, 4 << 20));
  backend.hook = [&](const store::FaultyCall& call) {
    if (call.operation == store::Operation::get) {
      boost::asio::post(loop.context(), [&] {
        EXPECT_LE(enough.in_use(), std::uint64_t{8} << 20);
        taken = {};
      });
    }
    return store::Fault{};
  };
  EXPECT_EQ(other.request("POST", path, R"({"keys":["large"]})").status, 200);
  EXPECT_EQ(enough.in_use(), 0u);
}

}  // namespace
}  // namespace sluice::server::cloudflare
