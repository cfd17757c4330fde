#include "sqlite/format.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

namespace sluice::sqlite {
namespace {

constexpr std::array<std::string_view, 2> kMigrations = {
    "CREATE TABLE a(x); INSERT INTO a VALUES(1);",
    "ALTER TABLE a ADD COLUMN y; UPDATE a SET y = x + 1;",
};
constexpr std::uint32_t kMagic = 0x54455354;
const Format kCurrent{"test file", kMagic, kMigrations, 8192};
const Format kOlder{"test file", kMagic, std::span(kMigrations).first(1), 8192};

class FormatTest : public testing::Test {
 protected:
  FormatTest() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-format-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    path_ = (folder_ / "x.db").string();
  }
  ~FormatTest() override { std::filesystem::remove_all(folder_); }
  [[nodiscard]] std::string content() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void adopt_file(Journal journal = Journal::log) {
    auto database = Database::open(path_);
    ASSERT_TRUE(database && adopt(*database, kCurrent, journal));
  }
  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(FormatTest, AnEmptyFileBecomesOurs) {
  auto database = Database::open(path_);
  ASSERT_TRUE(database);
  auto adopted = adopt(*database, kCurrent);
  ASSERT_TRUE(adopted) << adopted.error().message;
  EXPECT_EQ(*database->number("PRAGMA application_id"), kMagic);
  EXPECT_EQ(*database->number("PRAGMA user_version"), 2);
  EXPECT_EQ(*database->number("PRAGMA page_size"), 8192);
  EXPECT_EQ(*database->number("SELECT y FROM a"), 2);
  EXPECT_TRUE(adopt(*database, kCurrent));
  EXPECT_TRUE(check(*database, kCurrent));
  EXPECT_EQ(*database->number("SELECT count(*) FROM a"), 1) << "migrated twice";
}

TEST_F(FormatTest, AnOlderFileIsMigratedForward) {
  {
    auto database = Database::open(path_);
    ASSERT_TRUE(database && adopt(*database, kOlder));
    ASSERT_TRUE(database->run("INSERT INTO a VALUES(10)"));
    auto refused = check(*database, kCurrent);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::unsupported);
  }
  auto database = Database::open(path_);
  ASSERT_TRUE(database && adopt(*database, kCurrent));
  EXPECT_EQ(*database->number("SELECT sum(y) FROM a"), 13);
  EXPECT_EQ(*database->number("PRAGMA user_version"), 2);
}

TEST_F(FormatTest, AMigrationThatFailsChangesNothing) {
  {
    auto database = Database::open(path_);
    ASSERT_TRUE(database && adopt(*database, kOlder));
  }
  constexpr std::array<std::string_view, 3> broken = {kMigrations[0], "INSERT INTO a VALUES(7)",
                                                      "INSERT INTO no_such_table VALUES(1)"};
  auto database = Database::open(path_);
  ASSERT_TRUE(database);
  EXPECT_FALSE(adopt(*database, Format{"test file", kMagic, broken, 8192}));
  EXPECT_EQ(*database->number("PRAGMA user_version"), 1);
  EXPECT_EQ(*database->number("SELECT count(*) FROM a"), 1);
}

TEST_F(FormatTest, ANewerFileIsRefused) {
  {
    auto database = Database::open(path_);
    ASSERT_TRUE(database && adopt(*database, kCurrent));
  }
  const std::string before = content();
  auto database = Database::open(path_);
  ASSERT_TRUE(database);
  auto adopted = adopt(*database, kOlder);
  ASSERT_FALSE(adopted);
  EXPECT_EQ(adopted.error().code, ErrorCode::unsupported);
  EXPECT_NE(adopted.error().message.find("newer"), std::string::npos);
  EXPECT_EQ(content(), before);
}

TEST_F(FormatTest, AForeignDatabaseIsLeftAsItIs) {
  for (const char* foreign :
       {"CREATE TABLE theirs(x)", "PRAGMA application_id=7; CREATE TABLE t(x)",
        "PRAGMA user_version=3; CREATE TABLE t(x)"}) {
    std::filesystem::remove(path_);
    ASSERT_TRUE(Database::open(path_)->run(foreign));
    const std::string before = content();
    auto database = Database::open(path_);
    ASSERT_TRUE(database);
    auto adopted = adopt(*database, kCurrent);
    ASSERT_FALSE(adopted) << foreign;
    EXPECT_EQ(adopted.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(adopted.error().message.find("another program"), std::string::npos);
    EXPECT_EQ(content(), before) << foreign;
    EXPECT_FALSE(std::filesystem::exists(path_ + "-wal"));
  }
}

TEST_F(FormatTest, AFileThatIsNoDatabaseIsLeftAsItIs) {
  std::ofstream(path_) << "key,value\n";
  auto database = Database::open(path_);
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, ErrorCode::corrupt);
  EXPECT_EQ(content(), "key,value\n");
}

TEST_F(FormatTest, TheRollbackJournalTakesThePlaceOfTheLog) {
  const auto mode = [this] {
    auto database = Database::open(path_);
    auto statement = database->prepare("PRAGMA journal_mode");
    EXPECT_TRUE(statement->step());
    return std::string(statement->text(0));
  };
  adopt_file();
  EXPECT_EQ(mode(), "wal");
  adopt_file(Journal::rollback);
  EXPECT_EQ(mode(), "delete");
  adopt_file();
  EXPECT_EQ(mode(), "delete") << "it was chosen for the place where the file is";
  std::filesystem::remove(path_);
  adopt_file(Journal::rollback);
  EXPECT_EQ(mode(), "delete");
}

TEST_F(FormatTest, AnImmutableFileIsReadWithoutItsLog) {
  path_ = (folder_ / "a b%41?c#d.db").string();
  adopt_file();
  auto database = Database::open(path_, {.access = Access::read_only, .immutable = true});
  ASSERT_TRUE(database) << database.error().message;
  EXPECT_EQ(*database->number("SELECT y FROM a"), 2);
  EXPECT_FALSE(std::filesystem::exists(path_ + "-wal"));
}

TEST_F(FormatTest, ALogThatIsKeptIsThereAfterwards) {
  {
    auto database = Database::open(path_, {.keep_log = true});
    ASSERT_TRUE(adopt(*database, kCurrent));
  }
  EXPECT_GT(std::filesystem::file_size(path_ + "-wal"), 0);
  EXPECT_EQ(*Database::open(path_)->number("SELECT y FROM a"), 2);
}

TEST_F(FormatTest, ManyMayAdoptAtOnce) {
  std::vector<std::jthread> threads;
  std::array<Result<>, 8> results;
  for (auto& result : results) {
    threads.emplace_back([&result, this] {
      auto database = Database::open(path_);
      result = database ? adopt(*database, kCurrent) : std::unexpected(database.error());
    });
  }
  threads.clear();
  for (const auto& result : results) EXPECT_TRUE(result) << result.error().message;
  auto database = Database::open(path_);
  ASSERT_TRUE(database);
  EXPECT_EQ(*database->number("SELECT count(*) FROM a"), 1);
}

}  // namespace
}  // namespace sluice::sqlite
