// What is special about Redis as a store, against a real server.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <limits>
#include <thread>

#include "store/conformance.h"
#include "store/limits.h"
#include "store/redis/redis_opening.h"
#include "store/redis/redis_server.h"

namespace sluice::store {
namespace {

using redis::Opening;
using redis::RedisServer;

class RedisTest : public testing::Test {
 protected:
  void start(std::vector<std::string> arguments = {}) {
    server = std::make_unique<RedisServer>(std::move(arguments));
    connect(server->url());
  }
  void connect(const std::string& url) {
    store.reset();
    backend = opening.open(url);
    store = backend->open({"default", "default"});
  }
  template <class T>
  T run(io::Task<T> task) {
    return loop.run(std::move(task));
  }
  Result<WriteAnswer> put(const std::vector<conformance::Entry>& entries) {
    std::vector<EntryView> views;
    for (const auto& entry : entries) views.push_back(conformance::view(entry));
    return run(store->put(views));
  }
  Result<GetAnswer> get(std::string_view key) {
    const std::vector<std::string_view> keys{key};
    return run(store->get(keys));
  }
  std::string cli(const std::vector<std::string>& arguments) { return server->cli(arguments); }
  // Whole listing, sorted.
  std::vector<conformance::Entry> list(std::string_view prefix = {}, bool values = false) {
    std::vector<conformance::Entry> all;
    std::string cursor;
    do {
      auto page = run(store->list({.prefix = prefix, .cursor = cursor, .values = values}));
      if (!page) {
        ADD_FAILURE() << page.error().message;
        break;
      }
      for (const EntryView& entry : page->entries) {
        all.push_back({std::string(entry.key), std::string(entry.value),
                       std::string(entry.metadata), entry.expiration});
      }
      cursor = page->cursor;
    } while (!cursor.empty());
    return conformance::sorted(all);
  }

  io::Loop loop;
  Opening opening{loop};
  std::unique_ptr<RedisServer> server;
  std::shared_ptr<Backend> backend;
  std::unique_ptr<Store> store;
};

using conformance::Entry;

TEST_F(RedisTest, ShowsWhatOtherProgramsKeep) {
  start();
  cli({"SET", "user:1", "one"});
  cli({"SET", "user:2", "two", "EXAT", "4102444800"});
  cli({"HSET", "a hash", "field", "value"});
  cli({"RPUSH", "a list", "x"});
  cli({"SET", "", "of no name"});
  const std::vector<Entry> expected{{"user:1", "", "", 0}, {"user:2", "", "", 4102444800}};
  EXPECT_EQ(list(), expected);
  EXPECT_EQ(list("user:2").size(), 1u);
  auto got = get("a hash");
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->entries[0].presence, Presence::missing);
  EXPECT_EQ(get("user:2")->entries[0].value, "two");
  EXPECT_EQ(get("user:2")->entries[0].expiration, 4102444800);
}

TEST_F(RedisTest, LaysEntriesOutAsPromised) {
  start();
  const std::int64_t later = unix_now() + 3600;
  ASSERT_TRUE(put({{"k", "v", R"({"a": 1})", later}, {"x{t}", "w", "[1]", 0}}));
  EXPECT_EQ(cli({"GET", "k"}), "v");
  EXPECT_EQ(cli({"GET", "sluice:meta:{k}"}), R"({"a": 1})");
  EXPECT_EQ(cli({"EXPIRETIME", "k"}), std::to_string(later));
  EXPECT_EQ(cli({"EXPIRETIME", "sluice:meta:{k}"}), std::to_string(later));
  EXPECT_EQ(cli({"GET", "sluice:tagged-meta:x{t}"}), "[1]");
  EXPECT_EQ(cli({"DBSIZE"}), "4");
  // Without metadata now, and for good: nothing of before lives on.
  ASSERT_TRUE(put({{"k", "v", "", 0}}));
  EXPECT_EQ(cli({"EXPIRETIME", "k"}), "-1");
  EXPECT_EQ(cli({"EXISTS", "sluice:meta:{k}"}), "0");
  const std::vector<std::string_view> keys{"k", "x{t}"};
  ASSERT_TRUE(run(store->erase(keys)));
  EXPECT_EQ(cli({"DBSIZE"}), "0");

  auto made = run(backend->create_namespace("other"));
  ASSERT_TRUE(made);
  store = backend->open(*made);
  ASSERT_TRUE(put({{"k", "v", "{}", 0}}));
  EXPECT_EQ(cli({"GET", "sluice:ns:" + made->id + ":k"}), "v");
  EXPECT_EQ(cli({"GET", "sluice:meta:{sluice:ns:" + made->id + ":k}"}), "{}");
  EXPECT_EQ(cli({"HGET", "sluice:namespaces", made->id}), "other");
  ASSERT_TRUE(run(backend->delete_namespace(*made)));
  EXPECT_EQ(cli({"DBSIZE"}), "0");
}

TEST_F(RedisTest, MetadataGoesWhenItsEntryExpires) {
  start();
  ASSERT_TRUE(put({{"k", "v", "{}", unix_now() + 1}}));
  for (int i = 0; i < 500 && cli({"EXISTS", "k", "sluice:meta:{k}"}) != "0"; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(cli({"EXISTS", "k", "sluice:meta:{k}"}), "0");
}

TEST_F(RedisTest, KeysThatBeginWithOurNameAreRefused) {
  start();
  auto written = put({{"sluice:x", "v", "", 0}, {"sluice", "v", "", 0}});
  ASSERT_TRUE(written);
  ASSERT_EQ(written->failed.size(), 1u);
  EXPECT_EQ(written->failed[0].index, 0u);
  EXPECT_EQ(written->failed[0].error.code, ErrorCode::invalid_argument);
  const std::vector<std::string_view> keys{"sluice", "sluice:namespaces", "sluice"};
  auto got = run(store->get(keys));
  ASSERT_TRUE(got);
  ASSERT_EQ(got->failed.size(), 1u);
  EXPECT_EQ(got->failed[0].index, 1u);
  EXPECT_EQ(got->entries[1].presence, Presence::failed);
  EXPECT_EQ(got->entries[2].value, "v");
  ASSERT_TRUE(run(backend->create_namespace("n")));
  auto erased = run(store->erase(keys));
  ASSERT_TRUE(erased);
  EXPECT_EQ(erased->failed.size(), 1u);
  EXPECT_EQ(cli({"KEYS", "*"}), "sluice:namespaces");
}

TEST_F(RedisTest, AnExpiryThatRedisCannotHoldIsRefused) {
  start();
  auto written = put({{"k", "v", "", std::numeric_limits<std::int64_t>::max()},
                      {"far", "v", "", 9'000'000'000'000'000}});
  ASSERT_TRUE(written) << written.error().message;
  ASSERT_EQ(written->failed.size(), 1u);
  EXPECT_EQ(written->failed[0].index, 0u);
  EXPECT_EQ(get("far")->entries[0].expiration, 9'000'000'000'000'000);
}

TEST_F(RedisTest, ASmallNamespaceInALargeDatabaseTakesFewRequests) {
  start();
  std::vector<Entry> entries;
  for (int i = 0; i < 60; ++i) {
    for (const Entry& entry : conformance::numbered(1000, fmt::format("{}:", i))) {
      entries.push_back({entry.key, "v", "", 0});
    }
    ASSERT_TRUE(put(entries));
    entries.clear();
  }
  ASSERT_TRUE(put({{"needle:1", "v", "", 0}, {"needle:2", "v", "", 0}}));
  const auto before = opening.stats().gate.sent;
  EXPECT_EQ(list("needle:").size(), 2u);
  EXPECT_LE(opening.stats().gate.sent - before, 12u);
  EXPECT_EQ(list("17:").size(), 1000u);
}

TEST_F(RedisTest, GlobCharactersInAPrefixMeanThemselves) {
  start();
  ASSERT_TRUE(put({{"a*b", "v", "", 0},
                   {"axb", "v", "", 0},
                   {"[a]", "v", "", 0},
                   {"a?", "v", "", 0},
                   {"\\", "v", "", 0},
                   {"\\*", "v", "", 0}}));
  EXPECT_EQ(conformance::keys_of(list("a*")), std::vector<std::string>{"a*b"});
  EXPECT_EQ(conformance::keys_of(list("a?")), std::vector<std::string>{"a?"});
  EXPECT_EQ(conformance::keys_of(list("[a]")), std::vector<std::string>{"[a]"});
  EXPECT_EQ(list("\\").size(), 2u);
  EXPECT_EQ(conformance::keys_of(list("\\*")), std::vector<std::string>{"\\*"});
}

TEST_F(RedisTest, ListingLargeValuesTakesSmallerPages) {
  start();
  std::vector<Entry> entries;
  for (int i = 0; i < 30; ++i) {
    entries.push_back({fmt::format("k{:02}", i), std::string(2'000'000, 'x'), "{}", 0});
  }
  for (const Entry& entry : entries) ASSERT_TRUE(put({entry}));
  EXPECT_EQ(list({}, true), entries);
  // The same by keys: too much at once has to be asked for in parts.
  std::vector<std::string_view> keys;
  for (const Entry& entry : entries) keys.push_back(entry.key);
  auto got = run(store->get(keys));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ErrorCode::too_large);
  EXPECT_EQ(got.error().retry, Retry::smaller);
  EXPECT_EQ(run(store->get(std::span(keys).first(5)))->entries[4].value, entries[4].value);
}

TEST_F(RedisTest, ListingLargeMetadataTakesSmallerPages) {
  start();
  std::vector<Entry> entries;
  for (int i = 0; i < 60; ++i) {
    entries.push_back(
        {fmt::format("k{:02}", i), "", fmt::format("\"{}\"", std::string(1'000'000, 'm')), 0});
  }
  for (const Entry& entry : entries) ASSERT_TRUE(put({entry}));
  EXPECT_EQ(list(), entries);
}

TEST_F(RedisTest, AListingTakesFewRequests) {
  start();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(put(conformance::numbered(1000, fmt::format("{}:", i))));  // with metadata
  }
  for (const bool values : {false, true}) {
    const auto before = opening.stats().gate.sent;
    EXPECT_EQ(list({}, values).size(), 20'000u);
    // A page is a SCAN or two, since half of the keys are those of metadata, and a transaction.
    EXPECT_LE(opening.stats().gate.sent - before, 100u) << values;
  }
}

TEST_F(RedisTest, AValueOfManyMegabytesComesAlone) {
  start();
  const std::string value(100'000'000, 'v');
  ASSERT_TRUE(put({{"large", value, "{}", 0}}));
  auto got = get("large");
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(got->entries[0].value == value);
}

TEST_F(RedisTest, AValueThatTheServerRefusesIsTooLarge) {
  start({"--proto-max-bulk-len", "1mb"});
  auto written = put({{"k", std::string(2'000'000, 'v'), "", 0}});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::too_large) << written.error().message;
  EXPECT_EQ(written.error().retry, Retry::smaller);
  EXPECT_TRUE(put({{"k", "small", "", 0}}));
}

TEST_F(RedisTest, PasswordsUsersAndDatabases) {
  start({"--requirepass", "s3cret"});
  const auto refusal = [&](const std::string& url) {
    connect(url);
    auto page = run(store->list({}));
    EXPECT_FALSE(page) << url;
    EXPECT_EQ(page.error().retry, Retry::fatal) << url;
    EXPECT_EQ(page.error().message.find("s3cret"), std::string::npos) << page.error().message;
    EXPECT_EQ(page.error().message.find("wr0ng"), std::string::npos) << page.error().message;
    return page.error().code;
  };
  const std::string at = fmt::format("127.0.0.1:{}", server->port());
  EXPECT_EQ(refusal("redis://" + at), ErrorCode::unauthorized);
  EXPECT_EQ(refusal("redis://:wr0ng@" + at), ErrorCode::unauthorized);
  EXPECT_EQ(refusal("redis://nobody:s3cret@" + at), ErrorCode::unauthorized);
  EXPECT_EQ(refusal("redis://:s3cret@" + at + "/4000"), ErrorCode::not_found);
  for (const std::string& url :
       {"redis://:s3cret@" + at + "/3", "redis://default:s3cret@" + at + "/3"}) {
    connect(url);
    ASSERT_TRUE(put({{"k", url, "", 0}}));
    EXPECT_EQ(cli({"--no-auth-warning", "-a", "s3cret", "-n", "3", "GET", "k"}), url);
  }
  opening.settings["REDISCLI_AUTH"] = "s3cret";
  connect("redis://" + at + "/3");
  EXPECT_EQ(list().size(), 1u);
}

TEST_F(RedisTest, AUserWhoMayLittle) {
  start();
  const auto user = [&](const std::vector<std::string>& rules) {
    std::vector<std::string> words{"ACL", "SETUSER", "limited", "reset", "on", ">pass"};
    words.insert(words.end(), rules.begin(), rules.end());
    EXPECT_EQ(cli(words), "OK");
    connect(fmt::format("redis://limited:pass@127.0.0.1:{}", server->port()));
  };
  // Neither CLIENT nor INFO is needed.
  user({"~*", "+@read", "+@write", "+@transaction"});
  ASSERT_TRUE(put({{"k", "v", "{}", 0}}));
  EXPECT_EQ(list().size(), 1u);
  user({"~*", "+@read", "+@transaction"});
  EXPECT_EQ(list().size(), 1u);
  auto written = put({{"k", "v", "", 0}});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::unauthorized);
  EXPECT_EQ(written.error().retry, Retry::fatal);
  EXPECT_NE(written.error().message.find("ACL SETUSER"), std::string::npos);
  EXPECT_EQ(cli({"GET", "k"}), "v");
}

TEST_F(RedisTest, AFullServerIsNamedAndNothingIsWritten) {
  start();
  ASSERT_TRUE(put({{"k", "old", "{}", 0}}));
  cli({"CONFIG", "SET", "maxmemory", "1"});
  auto written = put({{"k", "new", "", 0}});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::no_space);
  EXPECT_EQ(written.error().retry, Retry::fatal);
  EXPECT_NE(written.error().message.find("maxmemory"), std::string::npos);
  cli({"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_EQ(get("k")->entries[0].value, "old");
  EXPECT_EQ(get("k")->entries[0].metadata, "{}");
}

TEST_F(RedisTest, AReplicaTakesNoWrites) {
  start();
  ASSERT_TRUE(put({{"k", "v", "", 0}}));
  RedisServer replica;
  (void)replica.cli({"REPLICAOF", "127.0.0.1", std::to_string(server->port())});
  for (int i = 0; i < 500 && replica.cli({"GET", "k"}) != "v"; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  connect(replica.url());
  EXPECT_EQ(list().size(), 1u);
  auto written = put({{"k", "w", "", 0}});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().retry, Retry::fatal);
  EXPECT_NE(written.error().message.find("primary"), std::string::npos) << written.error().message;
}

TEST_F(RedisTest, AMemberOfAClusterIsNamedAsOne) {
  start({"--cluster-enabled", "yes", "--cluster-port", std::to_string(redis::free_port())});
  auto page = run(store->list({}));
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, ErrorCode::unsupported) << page.error().message;
  EXPECT_EQ(page.error().retry, Retry::fatal);
  EXPECT_NE(page.error().message.find("redis-cluster://"), std::string::npos);
}

// TLS, with an authority that exists for this test only.
TEST_F(RedisTest, TlsIsVerified) {
  std::string name = (std::filesystem::temp_directory_path() / "sluice-tls-XXXXXX").string();
  const std::filesystem::path folder = mkdtemp(name.data());
  const auto file = [&](const char* each) { return (folder / each).string(); };
  ASSERT_EQ(std::system(fmt::format("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
                                    "-nodes -keyout {} -out {} -days 2 -subj /CN=localhost "
                                    "-addext subjectAltName=DNS:localhost >{} 2>&1",
                                    file("key"), file("cert"), file("log"))
                            .c_str()),
            0);
  const std::string port = std::to_string(redis::free_port());
  server = std::make_unique<RedisServer>(std::vector<std::string>{
      "--tls-port", port, "--tls-cert-file", file("cert"), "--tls-key-file", file("key"),
      "--tls-auth-clients", "no", "--requirepass", "s3cret"});

  opening.settings["SSL_CERT_FILE"] = file("cert");
  connect("rediss://:s3cret@localhost:" + port);
  const std::string value(3'000'000, 'v');
  ASSERT_TRUE(put({{"k", value, "{}", 0}, {"l", "w", "", 0}}));
  EXPECT_EQ(list({}, true), (std::vector<Entry>{{"k", value, "{}", 0}, {"l", "w", "", 0}}));

  // The server says goodbye to whoever is idle: that connection is not used again.
  const auto retries = opening.stats().retries;
  (void)server->cli({"-a", "s3cret", "CONFIG", "SET", "timeout", "1"});
  std::this_thread::sleep_for(std::chrono::milliseconds(3500));
  EXPECT_TRUE(get("l"));
  EXPECT_EQ(opening.stats().retries, retries);

  // Another name than the certificate's.
  connect("rediss://:s3cret@127.0.0.1:" + port);
  auto page = run(store->list({}));
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().retry, Retry::fatal) << page.error().message;
  EXPECT_NE(page.error().message.find("certificate"), std::string::npos) << page.error().message;
  // An authority that nobody trusts.
  opening.settings.erase("SSL_CERT_FILE");
  connect("rediss://:s3cret@localhost:" + port);
  page = run(store->list({}));
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().retry, Retry::fatal) << page.error().message;
  std::filesystem::remove_all(folder);
}

TEST_F(RedisTest, AServerThatComesBackIsConnectedToAgain) {
  start({"--appendonly", "yes", "--appendfsync", "always"});
  ASSERT_TRUE(put({{"k", "v", "", 0}}));
  server->kill();
  auto down = get("k");
  ASSERT_FALSE(down);
  EXPECT_EQ(down.error().code, ErrorCode::network);
  EXPECT_EQ(down.error().retry, Retry::never);  // all attempts are used up
  server->start();
  auto got = get("k");
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->entries[0].value, "v");
  // And once more, with a connection that looks open and is not.
  server->kill();
  server->start();
  const auto retries = opening.stats().retries;
  ASSERT_TRUE(get("k"));
  EXPECT_LE(opening.stats().retries, retries + 3);
}

// The hash function of the next server has another seed: its cursors are others.
TEST_F(RedisTest, ACursorOfAServerBeforeARestartIsRefused) {
  start({"--appendonly", "yes", "--appendfsync", "always"});
  ASSERT_TRUE(put(conformance::numbered(500)));
  auto page = run(store->list({.limit = 100}));
  ASSERT_TRUE(page);
  ASSERT_FALSE(page->cursor.empty());
  server->kill();
  server->start();
  auto next = run(store->list({.cursor = page->cursor, .limit = 100}));
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, ErrorCode::conflict);
  EXPECT_EQ(next.error().retry, Retry::never);
  EXPECT_EQ(list().size(), 500u);
}

TEST_F(RedisTest, AServerThatIsStuckIsATimeOut) {
  start();
  opening.timeout = std::chrono::milliseconds(300);
  opening.retry.attempts = 2;
  connect(server->url());
  ASSERT_TRUE(put({{"k", "v", "", 0}}));
  server->pause();
  auto got = get("k");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ErrorCode::timeout);
  EXPECT_EQ(got.error().retry, Retry::smaller);
  auto page = run(store->list({}));
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, ErrorCode::timeout);
  EXPECT_EQ(page.error().retry, Retry::never);
  server->resume();
  EXPECT_TRUE(get("k"));
}

TEST_F(RedisTest, AStopIsHonoured) {
  start();
  opening.stop.request(Error{ErrorCode::interrupted, Retry::fatal, {}, "stopped by the user"});
  auto page = run(store->list({}));
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, ErrorCode::interrupted);
  EXPECT_EQ(cli({"INFO", "clients"}).find("connected_clients:1\r"),
            std::string("# Clients\r\n").size());
}

TEST_F(RedisTest, ADeletionThatWasBrokenOffIsFinishedByTheNext) {
  start();
  auto one = run(backend->create_namespace("one"));
  auto two = run(backend->create_namespace("two"));
  ASSERT_TRUE(one && two);
  for (const Namespace& which : {*one, *two}) {
    store = backend->open(which);
    ASSERT_TRUE(put(conformance::numbered(300)));
  }
  // As if the first deletion had ended after its first step.
  cli({"HDEL", "sluice:namespaces", one->id});
  cli({"HSET", "sluice:deleting", one->id, "one"});
  store = backend->open(*one);
  EXPECT_FALSE(run(store->list({})));
  EXPECT_EQ(run(backend->namespaces())->size(), 2u);
  auto found = run(backend->find_namespace("one"));
  ASSERT_TRUE(found) << "so that it can be deleted again";
  ASSERT_TRUE(run(backend->create_namespace("one"))) << "its name is free";
  EXPECT_NE(run(backend->find_namespace("one"))->id, one->id);
  ASSERT_TRUE(run(backend->delete_namespace(*two)));
  EXPECT_EQ(cli({"KEYS", "*"}), "sluice:namespaces");
  EXPECT_FALSE(run(backend->delete_namespace(*one)));
}

// A put and the deletion of its namespace at the same time: no entry is left behind.
TEST_F(RedisTest, NothingIsWrittenIntoANamespaceThatGoes) {
  start();
  for (int round = 0; round < 20; ++round) {
    auto made = run(backend->create_namespace("short-lived"));
    ASSERT_TRUE(made);
    store = backend->open(*made);
    auto other_backend = opening.open(server->url());
    const auto texts = conformance::numbered(50);
    std::vector<EntryView> entries;
    for (const Entry& entry : texts) entries.push_back(conformance::view(entry));
    const auto both = [&]() -> io::Task<bool> {
      auto deleting = io::start(loop.executor(), other_backend->delete_namespace(*made));
      bool refused = false;
      // The last put begins when the namespace is gone, however late that is.
      for (bool gone = false; !refused && !gone;) {
        gone = deleting.ready();
        auto written = co_await store->put(entries);
        refused = !written;
        if (refused) EXPECT_EQ(written.error().code, ErrorCode::not_found);
      }
      auto deleted = co_await deleting.get();
      co_return deleted.has_value() && refused;
    };
    EXPECT_TRUE(run(both()));
    EXPECT_EQ(cli({"DBSIZE"}), "0") << cli({"KEYS", "*"});
  }
}

TEST_F(RedisTest, OpeningAndReadingWriteNothing) {
  start();
  ASSERT_TRUE(run(backend->find_namespace("default")));
  ASSERT_TRUE(run(backend->namespaces()));
  EXPECT_TRUE(list().empty());
  EXPECT_EQ(cli({"DBSIZE"}), "0");
}

TEST_F(RedisTest, AddressesThatAreNone) {
  for (const char* url :
       {"redis:", "redis:///2", "redis://a,b", "redis://host/x", "redis://host/2/3",
        "redis://host/-1", "redis://host/2?x=y", "redis://host:0", "redis://host/99999999999"}) {
    auto opened = open_backend(url, opening.environment());
    ASSERT_FALSE(opened) << url;
    EXPECT_EQ(opened.error().code, ErrorCode::invalid_argument) << url;
  }
  auto opened = open_backend("redis://user@host", opening.environment());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::unauthorized);
  opened = open_backend("redis://user:***@host", opening.environment());
  ASSERT_FALSE(opened) << "from a journal";
  EXPECT_NE(opened.error().message.find("REDISCLI_AUTH"), std::string::npos);
  opening.settings["REDISCLI_AUTH"] = "s3cret";
  EXPECT_TRUE(open_backend("redis://user:***@host", opening.environment()));
  auto described = open_backend("rediss://:hunter2@[::1]/7", opening.environment());
  ASSERT_TRUE(described);
  EXPECT_EQ(described->backend->description(), "Redis at [::1]:6379, database 7");
}

}  // namespace
}  // namespace sluice::store
