#include "sqlite/database.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace sluice::sqlite {
namespace {

class DatabaseTest : public testing::Test {
 protected:
  DatabaseTest() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-sqlite-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~DatabaseTest() override { std::filesystem::remove_all(folder_); }
  [[nodiscard]] std::string file(std::string_view name) const { return (folder_ / name).string(); }
  std::filesystem::path folder_;
};

TEST_F(DatabaseTest, ANewFileIsPrivateWhateverTheUmaskIs) {
  for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{0277}}) {
    const std::string path = file(fmt::format("x{}.db", mask));
    const mode_t before = umask(mask);
    auto database = Database::open(path);
    umask(before);
    ASSERT_TRUE(database) << database.error().message;
    struct stat status{};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u) << "umask " << mask;
  }
}

TEST_F(DatabaseTest, AnExistingFileKeepsItsMode) {
  std::ofstream(file("x.db")).close();
  chmod(file("x.db").c_str(), 0640);
  ASSERT_TRUE(Database::open(file("x.db")));
  struct stat status{};
  ASSERT_EQ(stat(file("x.db").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST_F(DatabaseTest, BytesComeBackAsTheyWentIn) {
  auto database = Database::open(file("x.db"));
  ASSERT_TRUE(database);
  ASSERT_TRUE(database->run("CREATE TABLE t(a TEXT, b BLOB, c INTEGER, d TEXT)"));
  auto insert = database->prepare("INSERT INTO t VALUES(?1, ?2, ?3, ?4)");
  ASSERT_TRUE(insert);
  using namespace std::string_view_literals;
  const std::string_view text = "a\0b\xff"sv;
  insert->bind_text(1, text);
  insert->bind_blob(2, std::string_view{});  // empty, not NULL
  insert->bind_int64(3, INT64_MIN);
  insert->bind_null(4);
  ASSERT_TRUE(insert->run());
  EXPECT_EQ(database->changes(), 1);
  EXPECT_EQ(database->last_insert_rowid(), 1);

  auto select = database->prepare("SELECT a, b, c, d FROM t");
  ASSERT_TRUE(select);
  auto row = select->step();
  ASSERT_TRUE(row && *row);
  EXPECT_EQ(select->text(0), text);
  EXPECT_EQ(select->size(0), 4u);
  EXPECT_FALSE(select->is_null(1));
  EXPECT_EQ(select->blob(1), "");
  EXPECT_EQ(select->int64(2), INT64_MIN);
  EXPECT_TRUE(select->is_null(3));
  row = select->step();
  ASSERT_TRUE(row);
  EXPECT_FALSE(*row);
}

TEST_F(DatabaseTest, AnUncommittedTransactionIsRolledBack) {
  auto database = Database::open(file("x.db"));
  ASSERT_TRUE(database);
  ASSERT_TRUE(database->run("CREATE TABLE t(a)"));
  {
    auto transaction = Transaction::begin(*database);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(database->run("INSERT INTO t VALUES(1)"));
  }
  EXPECT_EQ(*database->number("SELECT count(*) FROM t"), 0);
  {
    auto transaction = Transaction::begin(*database);
    ASSERT_TRUE(transaction);
    Transaction moved = std::move(*transaction);
    ASSERT_TRUE(database->run("INSERT INTO t VALUES(1)"));
    ASSERT_TRUE(moved.commit());
  }
  EXPECT_EQ(*database->number("SELECT count(*) FROM t"), 1);
}

TEST_F(DatabaseTest, ALockedFileIsAConflictThatNamesIt) {
  auto first = Database::open(file("x.db"));
  ASSERT_TRUE(first);
  ASSERT_TRUE(first->run("CREATE TABLE t(a)"));
  OpenOptions impatient;
  impatient.busy_timeout = std::chrono::milliseconds(1);
  auto second = Database::open(file("x.db"), impatient);
  ASSERT_TRUE(second);
  auto held = Transaction::begin(*first);
  ASSERT_TRUE(held);
  auto refused = Transaction::begin(*second);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::conflict);
  EXPECT_EQ(refused.error().retry, Retry::again);
  EXPECT_NE(refused.error().message.find(file("x.db")), std::string::npos);
}

TEST_F(DatabaseTest, AWaitForALockCanBeGivenUp) {
  auto first = Database::open(file("x.db"));
  ASSERT_TRUE(first);
  ASSERT_TRUE(first->run("CREATE TABLE t(a)"));
  OpenOptions patient;
  patient.busy_timeout = std::chrono::hours(1);
  const auto give_up = std::make_shared<std::atomic<bool>>(false);
  patient.give_up = give_up;
  auto second = Database::open(file("x.db"), patient);
  ASSERT_TRUE(second);
  auto held = Transaction::begin(*first);
  ASSERT_TRUE(held);
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    give_up->store(true);
  });
  auto refused = Transaction::begin(*second);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::conflict);
}

TEST_F(DatabaseTest, AFileThatIsNoDatabaseIsCorrupt) {
  std::ofstream(file("x.db")) << std::string(5000, 'x');
  auto database = Database::open(file("x.db"));
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, ErrorCode::corrupt);
  EXPECT_NE(database.error().message.find("is not an SQLite database"), std::string::npos);
}

TEST_F(DatabaseTest, ADamagedFileIsCorrupt) {
  {
    auto database = Database::open(file("x.db"));
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->run("CREATE TABLE t(a); INSERT INTO t VALUES(zeroblob(100000))"));
  }
  {
    std::fstream damaged(file("x.db"), std::ios::in | std::ios::out | std::ios::binary);
    damaged.seekp(4096);
    damaged << std::string(4096, '\xff');
  }
  auto database = Database::open(file("x.db"));
  ASSERT_TRUE(database);
  auto read = database->number("SELECT sum(length(a)) FROM t");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::corrupt);
}

TEST_F(DatabaseTest, ReadOnlyAccessNeitherCreatesNorWrites) {
  OpenOptions options;
  options.access = Access::read_only;
  auto absent = Database::open(file("absent.db"), options);
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ErrorCode::not_found);
  EXPECT_FALSE(std::filesystem::exists(file("absent.db")));

  ASSERT_TRUE(Database::open(file("x.db"))->run("CREATE TABLE t(a)"));
  auto database = Database::open(file("x.db"), options);
  ASSERT_TRUE(database);
  auto written = database->run("INSERT INTO t VALUES(1)");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().retry, Retry::fatal);
  EXPECT_NE(written.error().message.find("read-only"), std::string::npos);
}

TEST_F(DatabaseTest, AMissingFolderIsSaid) {
  auto database = Database::open(file("no/such/x.db"));
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, ErrorCode::not_found);
  EXPECT_NE(database.error().message.find("no/such/x.db"), std::string::npos);
  auto folder = Database::open(folder_.string());
  EXPECT_FALSE(folder);
}

TEST_F(DatabaseTest, AFullDiskIsFatal) {
  auto database = Database::open(file("x.db"));
  ASSERT_TRUE(database);
  ASSERT_TRUE(database->run("CREATE TABLE t(a); PRAGMA max_page_count=3"));
  auto written = database->run("INSERT INTO t VALUES(zeroblob(100000))");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::no_space);
  EXPECT_EQ(written.error().retry, Retry::fatal);
}

}  // namespace
}  // namespace sluice::sqlite
