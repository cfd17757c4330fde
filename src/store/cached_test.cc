// CachedBackend, CachedStore and AnswerCache: what is answered without a request, and when it is
// not.
#include "store/cached.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "store/faulty.h"
#include "store/memory/memory.h"

namespace sluice::store {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using Gets = CachedStore::Gets;
using LookUps = CachedBackend::LookUps;

// A folder that ends with the test.
class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "sluice-cached-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category());
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Namespaces by title, with ids that change when one is made anew; counts the look-ups. A store of
// an id that is gone fails as Cloudflare's does.
class Service : public Backend {
 public:
  [[nodiscard]] std::string description() const override { return "the service"; }
  io::Task<Result<std::vector<Namespace>>> namespaces() override {
    co_return std::vector<Namespace>{};
  }
  io::Task<Result<Namespace>> create_namespace(std::string_view title) override {
    co_return add(title);
  }
  io::Task<Result<>> rename_namespace(const Namespace& which, std::string_view title) override {
    ids.erase(which.title);
    ids.insert_or_assign(std::string(title), which.id);
    co_return Result<>();
  }
  io::Task<Result<>> delete_namespace(const Namespace& which) override {
    ids.erase(which.title);
    co_return Result<>();
  }
  io::Task<Result<Namespace>> find_namespace(std::string_view name) override {
    ++look_ups;
    const auto found = ids.find(std::string(name));
    if (found == ids.end()) co_return fail(ErrorCode::not_found, "no namespace {}", name);
    co_return Namespace{.id = found->second, .title = found->first};
  }
  std::unique_ptr<Store> open(const Namespace& which) override {
    const auto hook = [this, id = which.id](const FaultyCall& call) {
      Fault fault;
      if (call.operation == Operation::get || call.operation == Operation::get_exact) ++gets;
      const bool there =
          std::ranges::any_of(ids, [&](const auto& one) { return one.second == id; });
      if (!there) {
        fault.fails = Error{ErrorCode::not_found, Retry::fatal, {}, "no such namespace " + id};
      } else if (lost_answer) {
        fault.fails = Error{ErrorCode::network, Retry::again, {}, "the answer is lost"};
        fault.applied = true;
      }
      return fault;
    };
    auto store = std::make_unique<FaultyStore>(memory_of(which.id), hook);
    Capabilities capabilities = store->capabilities();
    capabilities.seekable = seekable;
    capabilities.exact_get = exact_get;
    store->set_capabilities(capabilities);
    return store;
  }

  Namespace add(std::string_view title) {
    const std::string id = "id" + std::to_string(++made_);
    ids.insert_or_assign(std::string(title), id);
    return {.id = id, .title = std::string(title)};
  }

  std::map<std::string, std::string> ids;  // by title
  int look_ups = 0;
  int gets = 0;
  bool seekable = false;
  bool exact_get = true;
  bool lost_answer = false;

 private:
  std::unique_ptr<Store> memory_of(const std::string& id) {
    io::Loop loop;
    auto found = loop.run(memory_->find_namespace(id));
    if (!found) found = loop.run(memory_->create_namespace(id));
    return memory_->open(*found);
  }
  std::unique_ptr<Backend> memory_ = make_memory_backend();
  int made_ = 0;
};

class CachedTest : public testing::Test {
 protected:
  std::shared_ptr<AnswerCache> cache() {
    AnswerCache::Options options{.root = folder_.path() + "/cache", .ttl = ttl_};
    options.limits = limits_;
    options.now = [this] { return now_; };
    return std::make_shared<AnswerCache>(std::move(options), log_);
  }
  // As a run of the program would: with a cache of its own.
  std::shared_ptr<CachedBackend> run(LookUps look_ups = LookUps::remembered) {
    return CachedBackend::make(service_, cache(), scope_, look_ups);
  }
  std::unique_ptr<CachedStore> values(Gets gets = Gets::from_cache) {
    const Namespace in{.id = service_->ids.at("a"), .title = "a"};
    return std::make_unique<CachedStore>(service_->open(in), cache(), scope_, in, gets);
  }
  Result<GetAnswer> get(Store& store, std::vector<std::string_view> keys) {
    return loop_.run(store.get(keys));
  }
  bool put(Store& store, std::string_view key, std::string_view value,
           std::string_view metadata = {}, std::int64_t expiration = 0) {
    const EntryView entry{key, value, metadata, expiration, Presence::present};
    const auto answer = loop_.run(store.put(std::span(&entry, 1)));
    return answer && answer->failed.empty();
  }
  std::string value(Store& store, std::string_view key) {
    auto answer = get(store, {key});
    if (!answer) return "failed: " + answer.error().message;
    if (answer->entries[0].presence != Presence::present) return "missing";
    return std::string(answer->entries[0].value);
  }

  io::Loop loop_;
  Log log_{LogLevel::off};
  Folder folder_;
  std::shared_ptr<Service> service_ = std::make_shared<Service>();
  CacheScope scope_{.identity = "somebody", .checks_namespace = true};
  std::chrono::milliseconds ttl_ = minutes(5);
  localcache::Limits limits_{.max_bytes = 50'000'000, .max_entries = 10'000};
  localcache::TimePoint now_ = std::chrono::system_clock::now();
};

TEST_F(CachedTest, ALookUpIsRememberedUntilItIsOld) {
  service_->add("a");
  for (int i = 0; i < 3; ++i) {
    const auto found = loop_.run(run()->find_namespace("a"));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->id, "id1");
    EXPECT_EQ(found->title, "a");
  }
  EXPECT_EQ(service_->look_ups, 1);
  now_ += minutes(5) + seconds(1);
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
  EXPECT_EQ(service_->look_ups, 2);
  ASSERT_TRUE(loop_.run(run(LookUps::anew)->find_namespace("a")));
  EXPECT_EQ(service_->look_ups, 3) << "who wants to know it anew is told anew";
}

TEST_F(CachedTest, NothingIsRememberedForOthersOrWithoutTime) {
  service_->add("a");
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
  scope_.identity = "somebody else";
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
  EXPECT_EQ(service_->look_ups, 2);
  ttl_ = {};
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
  EXPECT_EQ(service_->look_ups, 3);
  // The time that the reader allows counts, not only that of the writer.
  ttl_ = seconds(10);
  now_ += seconds(20);
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
  EXPECT_EQ(service_->look_ups, 4);
}

TEST_F(CachedTest, ThatThereIsNoNamespaceIsAskedEachTime) {
  ASSERT_FALSE(loop_.run(run()->find_namespace("a")));
  service_->add("a");
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
}

TEST_F(CachedTest, WhatMayNotBeRememberedIsNot) {
  service_->add("a");
  service_->seekable = true;
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
  EXPECT_EQ(service_->look_ups, 2) << "the look-up tells that the service can seek";
  service_->seekable = false;
  scope_.checks_namespace = false;
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
  EXPECT_EQ(service_->look_ups, 4) << "a namespace that is gone would pass for an empty one";
}

TEST_F(CachedTest, OurOwnChangesAreSeenAtOnce) {
  const Namespace a = service_->add("a");
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
  ASSERT_TRUE(loop_.run(run(LookUps::anew)->rename_namespace(a, "b")));
  EXPECT_EQ(loop_.run(run()->find_namespace("a")).error().code, ErrorCode::not_found);
  EXPECT_EQ(loop_.run(run()->find_namespace("b"))->id, a.id);
  ASSERT_TRUE(loop_.run(run(LookUps::anew)->delete_namespace({.id = a.id, .title = "b"})));
  EXPECT_EQ(loop_.run(run()->find_namespace("b")).error().code, ErrorCode::not_found);
}

TEST_F(CachedTest, ANamespaceMadeAnewByOthersIsFoundByTheFirstCall) {
  service_->add("a");
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
  const Namespace again = service_->add("a");
  const auto backend = run();
  const auto found = loop_.run(backend->find_namespace("a"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, "id1") << "what the cache says";
  const auto store = backend->open(*found);
  EXPECT_TRUE(put(*store, "k", "v"));
  EXPECT_EQ(value(*store, "k"), "v");
  EXPECT_EQ(value(*service_->open(again), "k"), "v");
  EXPECT_EQ(service_->look_ups, 2);
  EXPECT_EQ(loop_.run(run()->find_namespace("a"))->id, again.id);
  EXPECT_EQ(service_->look_ups, 2) << "and it is remembered";
}

TEST_F(CachedTest, ANamespaceThatIsGoneIsAskedForOnceAndForgotten) {
  const Namespace a = service_->add("a");
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
  service_->ids.clear();
  const auto backend = run();
  const auto store = backend->open(*loop_.run(backend->find_namespace("a")));
  const auto answer = loop_.run(store->list({}));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message, "no namespace a");
  EXPECT_EQ(service_->look_ups, 2);
  EXPECT_EQ(loop_.run(store->list({})).error().message, "no such namespace " + a.id);
  EXPECT_EQ(service_->look_ups, 2);
  ASSERT_FALSE(loop_.run(run()->find_namespace("a")));
  EXPECT_EQ(service_->look_ups, 3);
}

TEST_F(CachedTest, WorkThatHasBegunDoesNotGoOnInAnotherNamespace) {
  service_->add("a");
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
  const auto backend = run();
  const auto store = backend->open(*loop_.run(backend->find_namespace("a")));
  EXPECT_TRUE(put(*store, "k", "1"));
  const Namespace again = service_->add("a");
  EXPECT_FALSE(put(*store, "k", "2"));
  EXPECT_EQ(value(*service_->open(again), "k"), "missing");
  EXPECT_EQ(loop_.run(run()->find_namespace("a"))->id, again.id) << "the next run is right";
}

TEST_F(CachedTest, AValueIsGottenOnceWithAllThatBelongsToIt) {
  service_->add("a");
  const std::int64_t tomorrow =
      std::chrono::duration_cast<seconds>(now_.time_since_epoch()).count() + 86'400;
  const std::string bytes("\0\xff:3:\n", 6);
  ASSERT_TRUE(put(*values(), "k", bytes, R"({"n":1.0})", tomorrow));
  ASSERT_TRUE(put(*values(), "empty", ""));
  for (int i = 0; i < 3; ++i) {
    const auto answer = get(*values(), {"k", "none", "empty", "k"});
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->entries.size(), 4u);
    for (const std::size_t at : {0u, 3u}) {
      EXPECT_EQ(answer->entries[at].key, "k");
      EXPECT_EQ(answer->entries[at].value, bytes);
      EXPECT_EQ(answer->entries[at].metadata, R"({"n":1.0})");
      EXPECT_EQ(answer->entries[at].expiration, tomorrow);
    }
    EXPECT_EQ(answer->entries[1].presence, Presence::missing);
    EXPECT_EQ(answer->entries[2].presence, Presence::present);
  }
  EXPECT_EQ(service_->gets, 3) << "what is missing is asked for each time";
  EXPECT_EQ(value(*values(), "k"), bytes);
  EXPECT_EQ(service_->gets, 3);
  EXPECT_EQ(value(*values(Gets::from_store), "k"), bytes);
  EXPECT_EQ(service_->gets, 4) << "who has not asked for the cache is not answered by it";
  now_ += minutes(5) + seconds(1);
  EXPECT_EQ(value(*values(), "k"), bytes);
  EXPECT_EQ(service_->gets, 5);
}

TEST_F(CachedTest, AnExactGetIsNotAnsweredByAnotherOne) {
  service_->add("a");
  service_->exact_get = false;
  ASSERT_TRUE(put(*values(), "k", "1"));
  const std::string_view key = "k";
  EXPECT_EQ(value(*values(), "k"), "1");
  ASSERT_TRUE(loop_.run(values()->get_exact(std::span(&key, 1))));
  EXPECT_EQ(service_->gets, 2);
  ASSERT_TRUE(loop_.run(values()->get_exact(std::span(&key, 1))));
  EXPECT_EQ(service_->gets, 2);
  ASSERT_TRUE(put(*values(), "k", "2"));
  EXPECT_EQ(loop_.run(values()->get_exact(std::span(&key, 1)))->entries[0].value, "2");
}

TEST_F(CachedTest, AnExpiredEntryIsNotAnswered) {
  service_->add("a");
  const std::int64_t soon =
      std::chrono::duration_cast<seconds>(now_.time_since_epoch()).count() + 100;
  ASSERT_TRUE(put(*values(), "k", "1", {}, soon));
  EXPECT_EQ(value(*values(), "k"), "1");
  now_ += seconds(101);
  value(*values(), "k");
  EXPECT_EQ(service_->gets, 2);
}

TEST_F(CachedTest, OurOwnWritesAreSeenAtOnce) {
  service_->add("a");
  ASSERT_TRUE(put(*values(), "k", "1"));
  ASSERT_TRUE(put(*values(), "other", "1"));
  EXPECT_EQ(value(*values(), "k"), "1");
  EXPECT_EQ(value(*values(), "other"), "1");
  ASSERT_TRUE(put(*values(Gets::from_store), "k", "2"));
  EXPECT_EQ(value(*values(), "k"), "2");
  const std::string_view key = "k";
  ASSERT_TRUE(loop_.run(values(Gets::from_store)->erase(std::span(&key, 1))));
  EXPECT_EQ(value(*values(), "k"), "missing");
  const int before = service_->gets;
  EXPECT_EQ(value(*values(), "other"), "1");
  EXPECT_EQ(service_->gets, before) << "exactly the keys that were written are dropped";
}

TEST_F(CachedTest, AWriteWhoseAnswerIsLostDropsWhatItMayHaveWritten) {
  service_->add("a");
  ASSERT_TRUE(put(*values(), "k", "1"));
  EXPECT_EQ(value(*values(), "k"), "1");
  service_->lost_answer = true;
  EXPECT_FALSE(put(*values(Gets::from_store), "k", "2"));
  service_->lost_answer = false;
  EXPECT_EQ(value(*values(), "k"), "2");
}

TEST_F(CachedTest, AfterManyWritesAllOfTheNamespaceIsDropped) {
  service_->add("a");
  ASSERT_TRUE(put(*values(), "k", "1"));
  EXPECT_EQ(value(*values(), "k"), "1");
  std::vector<std::string> keys;
  std::vector<EntryView> entries;
  for (int i = 0; i < 600; ++i) keys.push_back("key" + std::to_string(i));
  for (const std::string& key : keys) {
    entries.push_back({.key = key, .value = "x", .metadata = {}, .presence = Presence::present});
  }
  ASSERT_TRUE(loop_.run(values(Gets::from_store)->put(entries)));
  EXPECT_EQ(value(*values(), "k"), "1");
  EXPECT_EQ(service_->gets, 2);
}

TEST_F(CachedTest, ADeletedNamespaceLeavesNoValues) {
  const Namespace a = service_->add("a");
  ASSERT_TRUE(put(*values(), "k", "1"));
  EXPECT_EQ(value(*values(), "k"), "1");
  ASSERT_TRUE(loop_.run(run()->delete_namespace(a)));
  service_->ids["a"] = a.id;
  value(*values(), "k");
  EXPECT_EQ(service_->gets, 2);
}

TEST_F(CachedTest, ABrokenCacheIsPassedOver) {
  service_->add("a");
  ASSERT_TRUE(put(*values(), "k", "1"));
  EXPECT_EQ(value(*values(), "k"), "1");
  ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
  for (const char* name : {"sluice-lookups", "sluice-values"}) {
    const std::string file = folder_.path() + "/cache/" + name + "/cache.db";
    std::filesystem::remove(file + "-wal");
    std::filesystem::remove(file + "-shm");
    std::ofstream(file, std::ios::trunc) << std::string(100'000, 'x');
  }
  EXPECT_EQ(value(*values(), "k"), "1");
  ASSERT_TRUE(put(*values(), "k", "2"));
  EXPECT_EQ(value(*values(), "k"), "2");
  const auto found = loop_.run(run()->find_namespace("a"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, "id1");
}

TEST_F(CachedTest, ACacheThatCannotBeMadeIsPassedOver) {
  std::ofstream(folder_.path() + "/cache") << "a file where the folder should be";
  service_->add("a");
  for (int i = 1; i <= 2; ++i) {
    ASSERT_TRUE(loop_.run(run()->find_namespace("a")));
    EXPECT_EQ(service_->look_ups, i);
  }
  ASSERT_TRUE(put(*values(), "k", "1"));
  EXPECT_EQ(value(*values(), "k"), "1");
}

TEST_F(CachedTest, TheLimitsHoldForWhatIsThereAlready) {
  service_->add("a");
  for (int i = 0; i < 20; ++i) {
    const std::string key = "k" + std::to_string(i);
    ASSERT_TRUE(put(*values(Gets::from_store), key, "v"));
    EXPECT_EQ(value(*values(), key), "v");
  }
  limits_.max_entries = 5;
  ASSERT_TRUE(put(*values(Gets::from_store), "last", "v"));
  EXPECT_EQ(value(*values(), "last"), "v");
  auto opened =
      localcache::Cache::open({.root = folder_.path() + "/cache", .name = "sluice-values"});
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->size()->entries, 5u);
  EXPECT_EQ(opened->size()->limits.max_entries, 5u);
}

TEST(Packing, GivesBackWhatItWasGivenAndRefusesTheRest) {
  const std::vector<std::vector<std::string>> lists = {
      {}, {""}, {"", ""}, {"a", "", "1:b"}, {std::string("\0:", 2), "x"}};
  for (const auto& list : lists) EXPECT_EQ(unpack(pack(list)), list);
  const std::string whole = pack(std::vector<std::string>{"abc", "de"});
  for (std::size_t size = 1; size < whole.size(); ++size) {
    if (size == 5) continue;  // just the first field
    EXPECT_FALSE(unpack(whole.substr(0, size))) << size;
  }
  for (const char* text :
       {":", "x", "-1:", "1", "99999999999999999999:a", "18446744073709551615:a", " 1:a", "1 :a"}) {
    EXPECT_FALSE(unpack(text)) << text;
  }
}

TEST(Digest, TellsListsApartAndHidesWhatItIsOf) {
  const auto of = [](std::vector<std::string_view> texts) { return digest(texts); };
  EXPECT_NE(of({"ab", "c"}), of({"a", "bc"}));
  EXPECT_NE(of({"a"}), of({"a", ""}));
  EXPECT_EQ(of({"a", "b"}), of({"a", "b"}));
  EXPECT_EQ(of({"secret"}).size(), 64u);
  EXPECT_EQ(of({"secret"}).find("secret"), std::string::npos);
}

}  // namespace
}  // namespace sluice::store
