#include "store/sqlite/sqlite.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "sqlite/database.h"
#include "sqlite/format.h"
#include "store/conformance.h"
#include "store/limits.h"
#include "store/sqlite/schema.h"

namespace sluice::store {
namespace {

using conformance::Conformance;

std::filesystem::path temporary_folder() {
  std::string name = (std::filesystem::temp_directory_path() / "sluice-store-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  return name;
}

// A backend on a file, with what it needs around it.
class Site {
 public:
  Site(io::Loop& loop, const std::string& url_path, const std::string& data_folder,
       std::size_t readers = 1)
      : stop_(loop.executor()),
        log_(LogLevel::off),
        environment_{.executor = loop.executor(),
                     .stop = stop_,
                     .log = log_,
                     .setting = [](std::string_view) { return std::string(); },
                     .data_folder = data_folder,
                     .gate = {},
                     .retry = {},
                     .readers = readers},
        opened_(open_sqlite(url_path, environment_)) {}
  Result<Opened>& opened() { return opened_; }
  Backend& backend() { return *opened_.value().backend; }

 private:
  io::Stop stop_;
  Log log_;
  Environment environment_;
  Result<Opened> opened_;
};

class SqliteFixture : public conformance::Fixture {
 public:
  SqliteFixture(io::Loop& loop, std::size_t readers)
      : folder_(temporary_folder()), site_(loop, (folder_ / "x.db").string(), {}, readers) {}
  ~SqliteFixture() override { std::filesystem::remove_all(folder_); }
  Backend& backend() override { return site_.backend(); }

 private:
  std::filesystem::path folder_;
  Site site_;
};

conformance::Subject subject(std::string name, std::size_t readers) {
  return {
      .name = std::move(name),
      .open = [readers](io::Loop& loop) { return std::make_unique<SqliteFixture>(loop, readers); },
      .many = 20'000,
      .any_loop = true};
}

INSTANTIATE_TEST_SUITE_P(Sqlite, Conformance,
                         testing::Values(subject("File", 1), subject("SeveralReaders", 3)),
                         [](const auto& tested) { return tested.param.name; });

class SqliteStoreTest : public testing::Test {
 protected:
  SqliteStoreTest() : folder_(temporary_folder()), file_((folder_ / "x.db").string()) {}
  ~SqliteStoreTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Store> open_default(Site& site) {
    return site.backend().open(*loop_.run(site.backend().find_namespace("default")));
  }
  void put(Store& store, const std::vector<std::string>& keys, std::string_view value = "v") {
    std::vector<EntryView> entries;
    for (const std::string& key : keys) entries.push_back({key, value, {}, 0, Presence::present});
    auto answer = loop_.run(store.put(entries));
    ASSERT_TRUE(answer) << answer.error().message;
    ASSERT_TRUE(answer->failed.empty());
  }
  std::vector<std::string> list(Store& store, std::string_view prefix = {}, std::size_t limit = 0,
                                bool values = false) {
    std::vector<std::string> keys;
    std::string cursor;
    do {
      auto page = loop_.run(
          store.list({.prefix = prefix, .cursor = cursor, .limit = limit, .values = values}));
      if (!page) {
        ADD_FAILURE() << page.error().message;
        return keys;
      }
      for (const EntryView& entry : page->entries) keys.emplace_back(entry.key);
      cursor = page->cursor;
    } while (!cursor.empty());
    return keys;
  }
  // What the file holds, past the store.
  std::int64_t number(const std::string& sql) {
    auto database = sqlite::Database::open(file_, {.access = sqlite::Access::read_write});
    return *database->number(sql);
  }

  io::Loop loop_;
  std::filesystem::path folder_;
  std::string file_;
};

TEST_F(SqliteStoreTest, WithoutAPathTheStoreIsInThePrivateDataFolder) {
  const auto data = folder_ / "data" / "sluice";
  Site site(loop_, "", data.string());
  ASSERT_TRUE(site.opened()) << site.opened().error().message;
  EXPECT_EQ(site.backend().description(), (data / "store.db").string());
  struct stat status{};
  ASSERT_EQ(stat(data.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  for (const char* name : {"store.db", "store.db-wal", "store.db-shm"}) {
    ASSERT_EQ(stat((data / name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0600u) << name;
  }
}

TEST_F(SqliteStoreTest, WhatIsWrittenIsThereTheNextTime) {
  {
    Site site(loop_, file_, {});
    auto store = open_default(site);
    put(*store, {"b", "a"});
  }
  EXPECT_FALSE(std::filesystem::exists(file_ + "-wal")) << "not closed";
  Site site(loop_, file_, {});
  EXPECT_EQ(list(*open_default(site)), (std::vector<std::string>{"a", "b"}));
}

TEST_F(SqliteStoreTest, TheStoreOutlivesItsBackend) {
  std::unique_ptr<Store> store;
  {
    Site site(loop_, file_, {});
    store = open_default(site);
  }
  put(*store, {"a"});
  EXPECT_EQ(list(*store), std::vector<std::string>{"a"});
}

TEST_F(SqliteStoreTest, TheDefaultNamespaceStays) {
  Site site(loop_, file_, {});
  auto found = loop_.run(site.backend().find_namespace("default"));
  ASSERT_TRUE(found);
  auto deleted = loop_.run(site.backend().delete_namespace(*found));
  ASSERT_FALSE(deleted);
  EXPECT_EQ(deleted.error().code, ErrorCode::invalid_argument);
  EXPECT_FALSE(loop_.run(site.backend().rename_namespace(*found, "other")));
  EXPECT_TRUE(loop_.run(site.backend().find_namespace("default")));
}

TEST_F(SqliteStoreTest, AnIdIsNeverUsedTwice) {
  Site site(loop_, file_, {});
  auto first = loop_.run(site.backend().create_namespace("first"));
  ASSERT_TRUE(first && loop_.run(site.backend().delete_namespace(*first)));
  auto second = loop_.run(site.backend().create_namespace("second"));
  ASSERT_TRUE(second);
  EXPECT_NE(first->id, second->id);
}

TEST_F(SqliteStoreTest, AForeignDatabaseIsRefusedAndLeftAsItIs) {
  {
    auto theirs = sqlite::Database::open(file_);
    ASSERT_TRUE(theirs->run("CREATE TABLE bookmarks(url)"));
  }
  Site site(loop_, file_, {});
  ASSERT_FALSE(site.opened());
  EXPECT_EQ(site.opened().error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(number("SELECT count(*) FROM sqlite_schema"), 1);
}

TEST_F(SqliteStoreTest, ANewerStoreIsRefused) {
  {
    Site site(loop_, file_, {});
  }
  ASSERT_TRUE(sqlite::Database::open(file_)->run("PRAGMA user_version=99"));
  Site site(loop_, file_, {});
  ASSERT_FALSE(site.opened());
  EXPECT_EQ(site.opened().error().code, ErrorCode::unsupported);
}

TEST_F(SqliteStoreTest, AMissingFolderAndAFileThatIsNoDatabaseAreSentences) {
  Site absent(loop_, (folder_ / "no" / "x.db").string(), {});
  ASSERT_FALSE(absent.opened());
  EXPECT_NE(absent.opened().error().message.find("no/x.db"), std::string::npos);
  std::ofstream(file_) << "key,value\n";
  Site text(loop_, file_, {});
  ASSERT_FALSE(text.opened());
  EXPECT_EQ(text.opened().error().code, ErrorCode::corrupt);
}

TEST_F(SqliteStoreTest, AKeyIsFoundByTheShell) {
  Site site(loop_, file_, {});
  put(*open_default(site), {"a key"});
  EXPECT_EQ(number("SELECT count(*) FROM entries_1 WHERE key = 'a key'"), 1);
}

// The merge of runs, the index and what is in between must give the same. `runs` puts, each of
// every runs-th key, in random order.
class Layout : public SqliteStoreTest, public testing::WithParamInterface<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Runs, Layout, testing::Values(1, 2, 7, 8, 9, 40, 256, 257, 300));

TEST_P(Layout, EveryLayoutListsTheSame) {
  const std::size_t runs = GetParam();
  constexpr std::size_t kKeys = 6000;
  Site site(loop_, file_, {});
  auto store = open_default(site);
  std::vector<std::string> all;
  std::vector<std::size_t> order;
  for (std::size_t run = 0; run < runs; ++run) order.push_back(run);
  std::ranges::shuffle(order, std::mt19937(3));
  for (const std::size_t run : order) {
    std::vector<std::string> keys;
    for (std::size_t i = run; i < kKeys; i += runs) keys.push_back(fmt::format("key:{:06}", i));
    put(*store, keys, run % 2 == 0 ? std::string(10, 'v') : std::string(1100, 'v'));
    all.insert(all.end(), keys.begin(), keys.end());
  }
  std::ranges::sort(all);
  const auto expect_all = [&](const char* when) {
    EXPECT_EQ(list(*store), all) << when;
    EXPECT_EQ(list(*store, {}, 700), all) << when;
    EXPECT_EQ(list(*store, {}, 1500, true), all) << when;
    std::vector<std::string> part;
    for (const std::string& key : all) {
      if (key.starts_with("key:003")) part.push_back(key);
    }
    EXPECT_EQ(list(*store, "key:003"), part) << when;
    EXPECT_EQ(list(*store, "key:003", 1100), part) << when;
  };
  expect_all("as written");

  // Every third key gone; some replaced; a whole stretch gone; new ones at both ends and between.
  std::vector<std::string_view> gone;
  std::vector<std::string> left;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i % 3 == 0 || (i > 2000 && i < 3500)) {
      gone.push_back(all[i]);
    } else {
      left.push_back(all[i]);
    }
  }
  ASSERT_TRUE(loop_.run(store->erase(gone)));
  put(*store, {left[0], left[10], left[100]}, "replaced");
  put(*store, {"a", "z", "key:002500x"});
  left.insert(left.end(), {"a", "z", "key:002500x"});
  std::ranges::sort(left);
  all = left;
  expect_all("after changes");
  EXPECT_EQ(number("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
}

TEST_F(SqliteStoreTest, SortedPutsMakeOneRun) {
  Site site(loop_, file_, {});
  auto store = open_default(site);
  for (int put_number = 0; put_number < 20; ++put_number) {
    put(*store, {fmt::format("k{:03}b", put_number), fmt::format("k{:03}a", put_number)});
  }
  EXPECT_EQ(number("SELECT count(*) FROM runs"), 1);
  put(*store, {"a"});
  put(*store, {"b"});
  EXPECT_EQ(number("SELECT count(*) FROM runs"), 2);
  EXPECT_EQ(list(*store).size(), 42u);
}

// A reader remembers how far it came in each run; what is written meanwhile must not mislead it.
TEST_F(SqliteStoreTest, AListingInProgressSurvivesAnEmptiedAndRefilledNamespace) {
  Site site(loop_, file_, {});
  auto store = open_default(site);
  std::vector<std::string> keys;
  for (int i = 0; i < 2500; ++i) keys.push_back(fmt::format("k{:05}", i));
  put(*store, keys);
  auto page = loop_.run(store->list({.limit = 1200}));
  ASSERT_TRUE(page);
  ASSERT_FALSE(page->cursor.empty());
  std::vector<std::string_view> views(keys.begin(), keys.end());
  ASSERT_TRUE(loop_.run(store->erase(views)));
  put(*store, {"k01300", "k01199", "k00000", "z"});
  put(*store, {"k01250", "k99999"});
  auto rest = loop_.run(store->list({.cursor = page->cursor}));
  ASSERT_TRUE(rest) << rest.error().message;
  std::vector<std::string> got;
  for (const EntryView& entry : rest->entries) got.emplace_back(entry.key);
  EXPECT_EQ(got, (std::vector<std::string>{"k01250", "k01300", "k99999", "z"}));
}

TEST_F(SqliteStoreTest, ARunThatGrowsDuringAListingStaysInOrder) {
  Site site(loop_, file_, {});
  auto store = open_default(site);
  put(*store, {"a", "b", "c"});                       // run 1
  put(*store, {"a1", "b1", "c1", "d1", "e1"});        // run 2
  auto first = loop_.run(store->list({.limit = 7}));  // up to d1
  ASSERT_TRUE(first && !first->cursor.empty());
  put(*store, {"f"});  // extends run 2
  auto rest = loop_.run(store->list({.cursor = first->cursor}));
  ASSERT_TRUE(rest);
  ASSERT_EQ(rest->entries.size(), 2u);
  EXPECT_EQ(rest->entries[0].key, "e1");
  EXPECT_EQ(rest->entries[1].key, "f");
}

TEST_F(SqliteStoreTest, ARunThatGrowsBehindTheListingIsNotListedBackwards) {
  Site site(loop_, file_, {});
  auto store = open_default(site);
  put(*store, {"a", "d", "e"});                       // run 1
  put(*store, {"a1", "b"});                           // run 2
  auto first = loop_.run(store->list({.limit = 4}));  // up to d: run 2 is at its end
  ASSERT_TRUE(first && !first->cursor.empty());
  put(*store, {"c"});  // extends run 2
  auto rest = loop_.run(store->list({.cursor = first->cursor}));
  ASSERT_TRUE(rest);
  ASSERT_EQ(rest->entries.size(), 1u);
  EXPECT_EQ(rest->entries[0].key, "e");
}

TEST_F(SqliteStoreTest, ACursorGoesWithAnotherPrefixToo) {
  Site site(loop_, file_, {});
  auto store = open_default(site);
  put(*store, {"a1", "a2", "a3", "z"});
  put(*store, {"m"});
  auto first = loop_.run(store->list({.prefix = "a", .limit = 2}));
  ASSERT_TRUE(first && !first->cursor.empty());
  auto rest = loop_.run(store->list({.cursor = first->cursor}));
  ASSERT_TRUE(rest);
  ASSERT_EQ(rest->entries.size(), 3u);
  EXPECT_EQ(rest->entries[1].key, "m");
}

TEST_F(SqliteStoreTest, APageOfLargeValuesIsShort) {
  Site site(loop_, file_, {});
  auto store = open_default(site);
  const std::string value(700'000, 'x');
  for (const char* key : {"a", "b", "c", "d", "e", "f"}) put(*store, {key}, value);
  auto page = loop_.run(store->list({.values = true}));
  ASSERT_TRUE(page);
  EXPECT_FALSE(page->cursor.empty());
  EXPECT_GE(page->entries.size(), 1u);
  EXPECT_LE(page->entries.bytes(), std::size_t{4} << 20);
  EXPECT_EQ(list(*store, {}, 0, true).size(), 6u);
}

TEST_F(SqliteStoreTest, GetsOfMoreThanMemoryHoldsAskForLess) {
  Site site(loop_, file_, {});
  auto store = open_default(site);
  const std::string value(12'000'000, 'x');
  for (const char* key : {"a", "b", "c"}) put(*store, {key}, value);
  const std::vector<std::string_view> keys = {"a", "b", "c"};
  auto answer = loop_.run(store->get(keys));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::too_large);
  EXPECT_EQ(answer.error().retry, Retry::smaller);
  auto two = loop_.run(store->get(std::span(keys).first(2)));
  ASSERT_TRUE(two) << two.error().message;
  EXPECT_EQ(two->entries[1].value.size(), value.size());
}

TEST_F(SqliteStoreTest, ExpiredRowsAreRemovedByLaterPuts) {
  Site site(loop_, file_, {});
  auto store = open_default(site);
  std::vector<std::string> keys;
  for (int i = 0; i < 500; ++i) keys.push_back(fmt::format("k{}", i));
  std::vector<EntryView> entries;
  for (const std::string& key : keys)
    entries.push_back({key, "v", {}, unix_now() - 5, Presence::present});
  ASSERT_TRUE(loop_.run(store->put(entries)));
  EXPECT_EQ(list(*store).size(), 0u);
  EXPECT_EQ(number("SELECT count(*) FROM entries_1"), 500);
  put(*store, {"alive"});
  EXPECT_EQ(number("SELECT count(*) FROM entries_1"), 1);
  EXPECT_EQ(list(*store), std::vector<std::string>{"alive"});
}

// More expired rows in a stretch than one page looks at.
TEST_F(SqliteStoreTest, AStretchOfExpiredRowsGivesAnEmptyPageThatIsNotTheEnd) {
  Site site(loop_, file_, {});
  auto store = open_default(site);
  put(*store, {"z"});
  std::vector<std::string> keys;
  for (int i = 0; i < 60'000; ++i) keys.push_back(fmt::format("k{:06}", i));
  std::vector<EntryView> entries;
  for (const std::string& key : keys)
    entries.push_back({key, "", {}, unix_now() - 5, Presence::present});
  ASSERT_TRUE(loop_.run(store->put(entries)));
  auto page = loop_.run(store->list({}));
  ASSERT_TRUE(page);
  EXPECT_TRUE(page->entries.empty());
  EXPECT_FALSE(page->cursor.empty());
  EXPECT_EQ(list(*store), std::vector<std::string>{"z"});
}

TEST_F(SqliteStoreTest, RowsThatTheShellAddedAreListedAfterTheNextPut) {
  Site site(loop_, file_, {});
  auto store = open_default(site);
  put(*store, {"b"});
  ASSERT_TRUE(sqlite::Database::open(file_)->run(
      "INSERT INTO entries_1(key, value) VALUES('c', 'theirs'), ('a', 'theirs')"));
  put(*store, {"d"});
  EXPECT_EQ(list(*store), (std::vector<std::string>{"a", "b", "c", "d"}));
}

TEST_F(SqliteStoreTest, TwoBackendsOfOneFileSeeEachOther) {
  Site one(loop_, file_, {});
  Site two(loop_, file_, {});
  auto first = open_default(one);
  auto second = open_default(two);
  for (int i = 0; i < 50; ++i) {
    put(i % 2 == 0 ? *first : *second, {fmt::format("k{:03}", 97 * i % 100)});
  }
  EXPECT_EQ(list(*first), list(*second));
  EXPECT_EQ(list(*first).size(), 50u);
  ASSERT_TRUE(loop_.run(one.backend().create_namespace("shared")));
  auto shared = loop_.run(two.backend().find_namespace("shared"));
  ASSERT_TRUE(shared);
  ASSERT_TRUE(loop_.run(two.backend().delete_namespace(*shared)));
}

std::size_t open_files(const std::filesystem::path& file) {
  std::size_t count = 0;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(each.path(), gone) == file) ++count;
  }
  return count;
}

TEST_F(SqliteStoreTest, ReadersAreOpenedWhenThereIsWorkForThem) {
  Site site(loop_, file_, {}, 3);
  auto store = open_default(site);
  std::vector<std::string> keys;
  for (int i = 0; i < 5000; ++i) keys.push_back(fmt::format("k{:05}", i));
  put(*store, keys);
  for (int time = 0; time < 20; ++time) EXPECT_EQ(list(*store).size(), keys.size());
  EXPECT_EQ(open_files(file_), 2u) << "one call at a time needs one reader";
  const auto executor = loop_.executor();
  const auto at_once = [&]() -> io::Task<std::size_t> {
    std::vector<io::Started<Result<Page>>> pages;
    for (int i = 0; i < 6; ++i) pages.push_back(io::start(executor, store->list({})));
    std::size_t listed = 0;
    for (auto& page : pages) {
      const auto got = co_await page.get();
      if (got) listed += got->entries.size();
    }
    co_return listed;
  };
  // A machine with much to do may let one call end before the next begins.
  for (int time = 0; time < 500 && open_files(file_) < 4; ++time) {
    EXPECT_EQ(loop_.run(at_once()), 6 * keys.size());
  }
  EXPECT_EQ(open_files(file_), 4u);
}

// What is written into a file that has no name any longer is lost, and nobody may be told that it
// was written. Nor may some readers answer from the old file and others from a new one.
TEST_F(SqliteStoreTest, AFileThatIsDeletedOrReplacedIsNoticed) {
  for (const bool replaced : {false, true}) {
    SCOPED_TRACE(replaced);
    const std::string copy = file_ + "-copy";
    {
      Site site(loop_, file_, {});
      put(*open_default(site), {"a"});
    }
    std::filesystem::copy_file(file_, copy);
    Site site(loop_, file_, {}, 3);
    auto store = open_default(site);
    put(*store, {"a"});
    std::filesystem::remove(file_);
    if (replaced) std::filesystem::rename(copy, file_);
    const EntryView entry{.key = "b", .value = "v", .presence = Presence::present};
    const auto written = loop_.run(store->put({&entry, 1}));
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::io);
    EXPECT_NE(written.error().message.find(file_), std::string::npos) << written.error().message;
    EXPECT_FALSE(loop_.run(store->erase({&entry.key, 1})));
    EXPECT_FALSE(loop_.run(site.backend().create_namespace("other")));
    EXPECT_FALSE(loop_.run(site.backend().namespaces()));
    const auto executor = loop_.executor();
    const auto at_once = [&]() -> io::Task<int> {
      std::vector<io::Started<Result<Page>>> pages;
      for (int i = 0; i < 6; ++i) pages.push_back(io::start(executor, store->list({})));
      int failed = 0;
      for (auto& page : pages) {
        const auto got = co_await page.get();
        if (!got && got.error().code == ErrorCode::io) ++failed;
      }
      co_return failed;
    };
    EXPECT_EQ(loop_.run(at_once()), 6);
    std::filesystem::remove(copy);
    for (const std::string end : {"", "-wal", "-shm"}) std::filesystem::remove(file_ + end);
  }
}

// Keys that are written one by one make a run each unless they ascend; those without rows must not
// pile up.
TEST_F(SqliteStoreTest, EmptyRunsAreRemovedByLaterPuts) {
  Site site(loop_, file_, {});
  auto store = open_default(site);
  put(*store, {"z"});
  std::vector<std::string> keys;
  for (int i = 40; i-- > 0;) keys.push_back(fmt::format("k{:02}", i));
  for (const std::string& key : keys) put(*store, {key});
  EXPECT_EQ(number("SELECT count(*) FROM runs"), 41);
  const std::vector<std::string_view> gone(keys.begin(), keys.end());
  ASSERT_TRUE(loop_.run(store->erase(gone)));
  EXPECT_EQ(number("SELECT count(*) FROM runs"), 41);
  for (int i = 20; i-- > 0;) put(*store, {fmt::format("j{:02}", i)});
  EXPECT_EQ(number("SELECT count(*) FROM runs"), 21);
  EXPECT_EQ(list(*store).size(), 21u);
}

TEST_F(SqliteStoreTest, ANamespaceIsFoundByTitleBeforeId) {
  Site site(loop_, file_, {});
  auto made = loop_.run(site.backend().create_namespace("1"));
  ASSERT_TRUE(made);
  EXPECT_EQ(loop_.run(site.backend().find_namespace("1"))->id, made->id);
  EXPECT_EQ(loop_.run(site.backend().find_namespace(made->id))->title, "1");
  for (const std::string& no_id :
       {"0" + made->id, made->id + " ", made->id + ".0", "+" + made->id}) {
    EXPECT_FALSE(loop_.run(site.backend().find_namespace(no_id))) << no_id;
  }
}

// A process that is killed in the middle of its puts leaves whole puts only, and those that had
// returned are all there.
TEST_F(SqliteStoreTest, AKilledWriterLosesNothingThatReturned) {
  for (int round = 0; round < 5; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      // The child has its own loop: only this thread is in it.
      io::Loop loop;
      Site site(loop, file_, {});
      auto store = site.backend().open({"1", "default"});
      for (int i = 0;; ++i) {
        std::vector<std::string> keys;
        std::vector<EntryView> entries;
        for (int j = 0; j < 50; ++j) keys.push_back(fmt::format("{}:{:06}:{:02}", round, i, j));
        for (const std::string& key : keys) entries.push_back({key, "v", {}, 0, Presence::present});
        if (!loop.run(store->put(entries))) _exit(1);
        if (write(pipe_ends[1], &i, sizeof i) != sizeof i) _exit(1);
      }
    }
    close(pipe_ends[1]);
    int reported = -1;
    for (int seen = 0; seen < 3 + round * 4; ++seen) {
      ASSERT_EQ(read(pipe_ends[0], &reported, sizeof reported),
                static_cast<ssize_t>(sizeof reported));
    }
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    for (int i = 0; read(pipe_ends[0], &i, sizeof i) == sizeof i;) reported = i;
    close(pipe_ends[0]);
    Site site(loop_, file_, {});
    auto store = open_default(site);
    const auto keys = list(*store, fmt::format("{}:", round));
    EXPECT_GE(keys.size(), static_cast<std::size_t>(reported + 1) * 50);
    EXPECT_EQ(keys.size() % 50, 0u) << "a put is there by half";
  }
}

}  // namespace
}  // namespace sluice::store
